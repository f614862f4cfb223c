"""What keeps failing is paused."""

from structlog.testing import capture_logs

from backend.services import PAUSE_AFTER, PAUSE_S, Pauses


def test_only_failures_in_a_row_pause() -> None:
    """A success between them starts the count anew; other names are not concerned."""
    now = 0.0
    pauses = Pauses(lambda: now)

    told = [pauses.failed("tides") for _ in range(PAUSE_AFTER - 1)]
    pauses.succeeded("tides")
    told += [pauses.failed("tides") for _ in range(PAUSE_AFTER - 1)]

    assert ({""}, False) == ({*told}, pauses.is_paused("tides"))
    with capture_logs() as logs:
        assert pauses.failed("tides").startswith("paused after 3 failures in a row, until ")
    assert [("tides", PAUSE_AFTER, PAUSE_S)] == [
        (log["name"], log["failures"], log["pause_s"]) for log in logs
    ]
    assert (True, False) == (pauses.is_paused("tides"), pauses.is_paused("rivers"))


def test_a_pause_ends_and_begins_again_with_the_next_failure() -> None:
    """What comes back failing is not given three more chances."""
    now = 0.0
    pauses = Pauses(lambda: now)
    for _ in range(PAUSE_AFTER):
        pauses.failed("tides")

    now = PAUSE_S

    assert not pauses.is_paused("tides")
    assert pauses.failed("tides")
    assert pauses.is_paused("tides")
