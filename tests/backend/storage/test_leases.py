"""Who needs a session's files keeps them; who removes files asks first."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from backend.errors import SessionGoneError
from backend.storage import Leases

ROUNDS = 300


def test_a_session_is_held_until_the_last_holder_lets_go() -> None:
    """Leases of one session nest, and those of others have nothing to do with it."""
    leases = Leases()

    with leases.held("a"), leases.held("b"):
        with leases.held("a"):
            pass
        with leases.removing("a") as free:
            assert not free
        assert ("a" in leases, "b" in leases, 2) == (True, True, len(leases))

    with leases.removing("a") as free:
        assert free
    assert 0 == len(leases)


def test_what_is_being_removed_cannot_be_held() -> None:
    """During a removal a lease is refused at once, and a second removal too; afterwards neither."""
    leases = Leases()

    with leases.removing("a"):
        with pytest.raises(SessionGoneError, match="session a is being removed"), leases.held("a"):
            pass
        with leases.removing("a") as free:
            assert not free
        with leases.held("b"):
            pass

    with leases.held("a"):
        assert "a" in leases


def test_holding_and_removing_exclude_each_other_on_any_thread() -> None:
    """Whatever threads do, nobody holds a session while somebody else removes it."""
    leases, holders = Leases(), set[int]()
    start = threading.Barrier(4)
    clashes = []

    def hold() -> None:
        start.wait()
        for _ in range(ROUNDS):
            try:
                with leases.held("a"):
                    holders.add(threading.get_ident())
                    holders.discard(threading.get_ident())
            except SessionGoneError:
                pass

    def remove() -> None:
        start.wait()
        for _ in range(ROUNDS):
            with leases.removing("a") as free:
                if free and holders:
                    clashes.append(set(holders))

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(task) for task in (hold, hold, remove, remove)]
        for task in running:
            task.result()

    assert [] == clashes
    assert 0 == len(leases)
