"""Children that answer requests, as real processes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.children import ChildError, ChildPool, child_command
from backend.environment import inherited
from tests.patience import SOON_S, until

ECHO = """
import os
print("a library talks")
os.write(1, b"so does C")
def answer(header, payload):
    if header.get("raise"):
        raise ValueError("the words of a visitor")
    return {"pid": os.getpid(), "variables": sorted(os.environ), **header}, payload[::-1]
"""
Make = Callable[..., ChildPool]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return what makes a pool of children that send back what they get."""
    handler = tmp_path / "handler.py"
    handler.write_text(ECHO)
    before = set(psutil.Process().children())
    pools = []

    def start(**options: Any) -> ChildPool:
        command = child_command(handler, "-S")
        limits: dict[str, Any] = {"timeout_s": SOON_S, "max_requests": 2, "reuse": True}
        pools.append(ChildPool("the echo", command, **(limits | options)))
        return pools[-1]

    yield start
    for pool in pools:
        pool.close()
    assert set(psutil.Process().children()) <= before


def test_header_and_payload_go_both_ways(make: Make) -> None:
    """A payload with newlines and zeros comes whole, whatever a library prints meanwhile."""
    pool = make()

    header, payload = pool.ask({"name": "water"}, b"1\n\0{}\n2" * 50_000)
    again, nothing = pool.ask({"name": "ice"})

    assert "water" == header["name"]
    assert (b"1\n\0{}\n2" * 50_000)[::-1] == payload
    assert ("ice", header["pid"], b"") == (again["name"], again["pid"], nothing)


def test_a_child_inherits_no_secret(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the variables of the system that are listed, and no others."""
    for name in ("RR_API_TOKEN", "OPENAI_API_KEY", "GITHUB_TOKEN", "LC_TIME"):
        monkeypatch.setenv(name, "canary")

    header, _ = make().ask({})

    assert {"PATH", "LC_TIME"} <= set(header["variables"])
    assert set(header["variables"]) <= set(inherited())
    assert {"RR_API_TOKEN", "OPENAI_API_KEY", "GITHUB_TOKEN"}.isdisjoint(inherited())


def test_an_exception_is_told_by_its_type(make: Make) -> None:
    """What a handler raises fails the request without its message; the child goes on."""
    pool = make()
    pid = pool.ask({})[0]["pid"]

    with pytest.raises(ChildError, match=r"^the echo failed: ValueError$"):
        pool.ask({"raise": True})

    assert pid == pool.ask({})[0]["pid"]


def test_without_reuse_every_request_has_its_own_child(make: Make) -> None:
    """A child answers once, and the spare one that was started ahead answers next."""
    pool = make(reuse=False, n_spare=1)
    pool.start_spare()
    (spare,) = pool._idle

    first, second = (pool.ask({})[0]["pid"] for _ in range(2))

    assert spare.pid == first != second
    assert 1 == len(pool._idle)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_spare_that_died_is_replaced(make: Make) -> None:
    """Killed while it waits, a child costs no request."""
    pool = make(n_spare=1)
    pool.start_spare()
    (spare,) = pool._idle
    os.kill(spare.pid, signal.SIGKILL)
    until(lambda: spare.poll() is not None, "the spare is dead")

    assert spare.pid != pool.ask({})[0]["pid"]


def test_closed_children_are_gone(make: Make) -> None:
    """After the close no child is left, a request is refused and no spare is started."""
    pool = make(n_spare=1)
    pool.start_spare()

    pool.close()
    with pytest.raises(ChildError, match="the echo was stopped"):
        pool.ask({})

    assert [] == pool._idle
