"""The latest events, by cursor: of this run and of earlier ones."""

import pytest

from plugins.show.ring import Entry, Ring

BASE = 10_000


def ring(size: int, *entries: tuple[int, int]) -> Ring:
    """Return a ring with entries of these cursors (after the base) and times."""
    one = Ring(size, BASE)
    for number, at_ms in entries:
        one.append(Entry(BASE + number, at_ms, str(number)))
    return one


@pytest.mark.parametrize(
    ("cursor", "texts", "gap"),
    [
        (BASE, "123", False),
        (BASE + 1, "23", False),
        (BASE + 3, "", False),
        (BASE + 4, "123", True),
        (0, "123", False),
    ],
)
def test_what_came_after_a_cursor(cursor: int, texts: str, gap: bool) -> None:
    """Exactly what came after it; a cursor of the future is a gap, 0 is before everything."""
    one = ring(9, (1, BASE), (2, BASE), (3, BASE))

    replay = one.since(cursor)

    assert (tuple(texts), gap) == (replay.texts, replay.gap)


@pytest.mark.parametrize(("cursor", "gap"), [(BASE, True), (BASE + 1, True), (BASE + 2, False)])
def test_what_is_too_old_is_a_gap(cursor: int, gap: bool) -> None:
    """Once events are gone, only who has had the last of them misses none."""
    one = ring(2, (1, BASE), (2, BASE), (3, BASE), (4, BASE))

    assert (("3", "4"), gap) == (one.since(cursor).texts[-2:], one.since(cursor).gap)
    assert BASE + 3 == one.oldest


@pytest.mark.parametrize(
    ("cursor", "texts", "gap"),
    [(300, "23", False), (100, "123", False), (99, "123", True), (401, "3", False)],
)
def test_a_cursor_of_an_earlier_run_is_a_time(cursor: int, texts: str, gap: bool) -> None:
    """What ended since then is replayed; a gap is what was left out and ended later than that."""
    one = ring(9, (1, 200), (2, 300), (3, BASE + 5))
    one.lost_before(100)

    replay = one.since(cursor)

    assert (tuple(texts), gap) == (replay.texts, replay.gap)


def test_an_empty_ring_has_nothing_to_replay() -> None:
    """Before the first event there is neither an oldest one nor a gap."""
    one = ring(4)

    assert (None, BASE, 0) == (one.oldest, one.last, len(one))
    assert ((), False) == (one.since(BASE).texts, one.since(BASE).gap)
