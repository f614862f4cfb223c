"""The latest events, by cursor."""

import pytest

from plugins.show.ring import Replay, Ring

BASE = 10_000


def ring(size: int, *numbers: int) -> Ring:
    """Return a ring with these numbers, from 1 on, as texts."""
    one = Ring(size, BASE)
    for number in numbers:
        one.append(str(number))
    return one


@pytest.mark.parametrize(
    ("cursor", "texts", "gap"),
    [
        (BASE, "123", False),
        (BASE + 1, "23", False),
        (BASE + 3, "", False),
        (BASE + 4, "123", True),
        (BASE - 1, "123", True),
        (0, "123", True),
    ],
)
def test_what_came_after_a_cursor(cursor: int, texts: str, gap: bool) -> None:
    """Exactly what came after it; a cursor of the future, or of an earlier run, is a gap."""
    one = ring(9, 1, 2, 3)

    replay = one.since(cursor)

    assert (tuple(texts), gap) == (replay.texts, replay.gap)


@pytest.mark.parametrize(("cursor", "gap"), [(BASE, True), (BASE + 1, True), (BASE + 2, False)])
def test_what_is_too_old_is_a_gap(cursor: int, gap: bool) -> None:
    """Once events are gone, only who has had the last of them misses none."""
    one = ring(2, 1, 2, 3, 4)

    replay = one.since(cursor)
    assert (("3", "4"), gap) == (replay.texts[-2:], replay.gap)
    assert BASE + 3 == one.oldest


def test_an_empty_ring_has_nothing_to_replay() -> None:
    """Before the first event there is no oldest one, and a gap only for earlier runs."""
    one = ring(4)

    assert (None, BASE, 0) == (one.oldest, one.last, len(one))
    assert Replay((), gap=False) == one.since(BASE)
    assert Replay((), gap=True) == one.since(BASE - 1)
