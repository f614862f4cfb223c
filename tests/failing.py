"""Let the n-th call of a function raise: every step of what is tested fails once."""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import FrameType


class DefectError(Exception):
    """What a step raises in a test."""


@contextmanager
def failing_at(
    number: int, modules: Collection[str], spared: Collection[str]
) -> Iterator[list[str]]:
    """Raise a `DefectError` at the `number`-th call in `modules`, on threads started in the block.

    Functions named in `spared` are not counted. Yields a list of the name of what failed, empty if
    there were fewer calls.
    """
    calls = 0
    failed: list[str] = []

    def trace(frame: FrameType, what: str, _: object) -> None:
        nonlocal calls
        code = frame.f_code
        if frame.f_globals.get("__name__") in modules and code.co_name not in spared:
            calls += 1
            if calls == number:
                failed.append(code.co_qualname)
                raise DefectError(failed[0])

    before = threading.gettrace()
    threading.settrace(trace)
    try:
        yield failed
    finally:
        threading.settrace(before)
