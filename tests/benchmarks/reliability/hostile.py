"""What requests that mean harm get from a server of its own, as the tests judge it."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from tests.backend.http.connections import test_hostile
from tests.benchmarks.reliability.figures import Figure


def measure(folder: Path) -> list[Figure]:
    """Send every hostile request, and bodies of 100 MB."""
    folder.mkdir(parents=True, exist_ok=True)
    with test_hostile.under_attack(folder) as serving:
        started = perf_counter()
        wrong = [
            name
            for name in test_hostile.CASES
            if not passes(test_hostile.test_a_hostile_request_gets_nothing, serving, name)
        ]
        took_s = perf_counter() - started
        refused = sum(
            passes(test_hostile.test_a_body_of_100_mb_costs_no_memory, serving, chunked)
            for chunked in (False, True)
        )
    n = len(test_hostile.CASES)
    value = (
        f"{len(wrong)} answered wrongly{': ' if wrong else ''}{', '.join(wrong)}; {took_s:.0f} s"
    )
    met = not wrong and n >= 80
    return [
        Figure("hostile requests", ">= 80; no non-.wav byte served", value, met, n),
        Figure("body of 100 MB", "413", f"413 to {refused}, memory flat", refused == 2, 2),
    ]


def passes(test: Callable[..., None], *arguments: object) -> bool:
    """Tell whether a test finds nothing wrong."""
    try:
        test(*arguments)
    except AssertionError:
        return False
    return True
