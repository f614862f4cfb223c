"""Sessions as they are followed: what is told, in which order, and what nobody waits for."""

from pathlib import Path

import pytest

from backend.signals import SessionFinished, SessionStarted, TtsWritten, TurnFinished
from backend.tracking import (
    DialogueOver,
    Followed,
    SessionExpected,
    SessionOver,
    TurnOver,
    UtteranceDone,
    UtteranceMissing,
)
from backend.tracking.tracker import (
    FORGET_S,
    MAX_SESSIONS,
    Following,
)
from plugins.waves.signals import outcomes
from tests.simulated import NOW, done, failed, play, spoken

PATIENCE_S = 100.0


class Follower:
    """A `Following` with a clock of its own and everything that it told."""

    def __init__(self) -> None:
        self.told: list[Followed] = []
        self.now = 0.0
        self.available = True
        self.following = Following(
            outcomes,
            self.told.append,
            available=lambda: self.available,
            patience_s=PATIENCE_S,
            clock=lambda: self.now,
        )

    def start(self, *slots: int) -> None:
        self.following.on_started(event=SessionStarted("s", slots, NOW))

    def speak(self, turn_index: int, slot_id: int, target: int | None = None) -> TtsWritten:
        source = spoken("s", turn_index, slot_id, target)
        self.following.on_written(event=source)
        return source

    def close(self, turn_index: int) -> None:
        self.following.on_turn_finished(event=TurnFinished("s", turn_index, (), NOW))

    def finish(self) -> None:
        self.following.on_finished(event=SessionFinished("s", (), NOW))

    def heard(self) -> list[str]:
        """Return what was told since the last time, in short."""
        words = [_short(event) for event in self.told]
        self.told.clear()
        return words


def _short(event: Followed) -> str:
    match event:
        case SessionExpected():
            return "expected"
        case UtteranceDone():
            source = event.outcome.source
            return f"done {source.turn_index}.{source.slot_id}"
        case UtteranceMissing():
            source = event.missing.source
            return f"missing {source.turn_index}.{source.slot_id} {event.missing.reason}"
        case TurnOver():
            name = f"turn {event.turn_index}"
        case DialogueOver():
            name = f"dialogue {event.slot_id}"
        case SessionOver():
            name = "session"
    lacking = [f"-{m.source.turn_index}.{m.source.slot_id}" for m in event.missing]
    there = [f"{o.source.turn_index}.{o.source.slot_id}" for o in event.done]
    return " ".join([name, *there, *lacking])


@pytest.fixture
def follower() -> Follower:
    return Follower()


def test_a_whole_session_is_told_in_order(follower: Follower) -> None:
    """Utterances as they come, then dialogues, turns by number, at last the session."""
    follower.start(1, 2)
    one, two = follower.speak(1, 1), follower.speak(1, 2)
    follower.following.on_ended(event=done(two))
    follower.close(1)
    follower.following.on_ended(event=done(one))
    assert ["expected", "done 1.2", "done 1.1", "turn 1 1.1 1.2"] == follower.heard()

    on_two, on_one = follower.speak(2, 1, target=2), follower.speak(2, 2, target=1)
    follower.close(2)
    reply = follower.speak(3, 1)
    follower.close(3)
    follower.finish()
    for source in (on_one, reply, on_two):
        follower.following.on_ended(event=done(source))

    assert [
        "done 2.2",
        "done 3.1",
        "dialogue 1 2.2 3.1",
        "done 2.1",
        "turn 2 2.1 2.2",
        "turn 3 3.1",
        "session 1.1 1.2 2.1 2.2 3.1",
    ] == follower.heard()
    assert 0 == len(follower.following)


def test_empty_turns_are_over_at_once(follower: Follower) -> None:
    """A session of one slot has two turns without utterances, told as they finish."""
    follower.start(1)
    follower.following.on_ended(event=done(follower.speak(1, 1)))
    for turn_index in (1, 2, 3):
        follower.close(turn_index)
    follower.finish()

    assert ["turn 1 1.1", "turn 2", "turn 3", "session 1.1"] == follower.heard()[2:]


@pytest.mark.parametrize("reason", ["queue_full", "timeout", "crashed", "stopped"])
def test_nobody_waits_for_what_failed(follower: Follower, reason: str) -> None:
    """A job that was refused, failed or timed out is missing, and its groups are partial."""
    follower.start(1, 2)
    one, two = follower.speak(1, 1), follower.speak(1, 2)
    follower.close(1)
    follower.following.on_ended(event=done(one))
    follower.following.on_ended(event=failed(two, reason))
    follower.finish()

    assert [f"missing 1.2 {reason}", "turn 1 1.1 -1.2", "session 1.1 -1.2"] == follower.heard()[2:]


def test_waves_made_up_for_in_time_count(follower: Follower) -> None:
    """Success after a failure heals the turn if it is not over yet; a second success is nothing."""
    follower.start(1, 2)
    one, two = follower.speak(1, 1), follower.speak(1, 2)
    follower.following.on_ended(event=failed(one, "queue_full"))
    follower.following.on_ended(event=done(one, backfill=True))
    follower.following.on_ended(event=done(one, backfill=True))
    follower.following.on_ended(event=failed(one, "error"))
    follower.following.on_ended(event=done(two))
    follower.close(1)

    assert [
        "expected",
        "missing 1.1 queue_full",
        "done 1.1",
        "done 1.2",
        "turn 1 1.1 1.2",
    ] == follower.heard()


def test_nobody_waits_where_nothing_is_made(follower: Follower) -> None:
    """With the maker off every utterance is missing as soon as it is spoken."""
    follower.available = False
    follower.start(1)
    follower.speak(1, 1)
    follower.close(1)
    follower.finish()

    assert [
        "expected",
        "missing 1.1 not_running",
        "turn 1 -1.1",
        "session -1.1",
    ] == follower.heard()


def test_a_maker_that_goes_away_is_noticed(follower: Follower) -> None:
    """What was out when the maker failed is given up at the next sweep."""
    follower.start(1)
    follower.speak(1, 1)
    follower.close(1)
    follower.following.sweep()
    assert ["expected"] == follower.heard()

    follower.available = False
    follower.following.sweep()

    assert ["missing 1.1 not_running", "turn 1 -1.1"] == follower.heard()


def test_patience_ends(follower: Follower) -> None:
    """An utterance without an outcome is missing after the limit; what comes later is only told."""
    follower.start(1, 2)
    late, later = follower.speak(1, 1), follower.speak(1, 2)
    follower.finish()
    follower.now = PATIENCE_S - 1
    follower.following.sweep()
    assert ["expected"] == follower.heard()

    follower.now = PATIENCE_S
    follower.following.sweep()
    follower.following.on_ended(event=done(late))
    follower.following.on_ended(event=failed(later))

    assert [
        "missing 1.1 no_answer",
        "missing 1.2 no_answer",
        "turn 1 -1.1 -1.2",
        "session -1.1 -1.2",
        "done 1.1",
        "missing 1.2 timeout",
    ] == follower.heard()


def test_a_session_cut_short_ends(follower: Follower) -> None:
    """Where a turn never finished, the session's end stands for it; later turns are not told."""
    follower.start(1, 2)
    one = follower.speak(1, 1)
    follower.finish()
    follower.following.on_ended(event=done(one))

    assert ["expected", "done 1.1", "turn 1 1.1", "session 1.1"] == follower.heard()


def test_what_is_not_known_is_only_told(follower: Follower) -> None:
    """Waves of an earlier session, and signals without their session, move no barrier."""
    follower.following.on_ended(event=done(spoken("earlier", 1, 1), backfill=True))
    follower.following.on_ended(event=failed(spoken("earlier", 1, 2), "invalid_audio"))
    assert ["done 1.1", "missing 1.2 invalid_audio"] == follower.heard()

    follower.following.on_ended(event=done(follower.speak(1, 3)))
    follower.close(1)
    follower.finish()

    assert ["done 1.3", "turn 1 1.3", "session 1.3"] == follower.heard()
    assert 0 == len(follower.following)


def test_turns_are_told_in_their_order(follower: Follower) -> None:
    """A turn that is ready early waits for the one before it."""
    follower.start(1, 2)
    slow = follower.speak(1, 1)
    follower.close(1)
    follower.following.on_ended(event=done(follower.speak(2, 1, target=2)))
    follower.close(2)
    assert ["expected", "done 2.1"] == follower.heard()

    follower.following.on_ended(event=done(slow))

    assert ["done 1.1", "turn 1 1.1", "turn 2 2.1"] == follower.heard()


def test_the_median_is_that_of_the_latest_waits(follower: Follower) -> None:
    """A session is told what utterances took lately; nothing that failed counts."""
    for waited in (1.0, 2.0, 9.0, 3.0):
        source = follower.speak(1, int(waited))
        follower.now += waited
        follower.following.on_ended(event=done(source))
    dropped = follower.speak(2, 1, target=2)
    follower.following.on_ended(event=failed(dropped))
    follower.now += 50
    follower.following.on_ended(event=done(dropped, backfill=True))
    follower.told.clear()
    follower.start(1)

    expected = follower.told[0]
    assert isinstance(expected, SessionExpected)
    assert 2.5 == expected.median_s


def test_lost_sessions_are_forgotten(follower: Follower) -> None:
    """A session that never ends is forgotten after its time, and when there are too many."""
    follower.start(1)
    follower.now = FORGET_S
    follower.following.sweep()
    assert 0 == len(follower.following)

    for number in range(MAX_SESSIONS + 5):
        follower.following.on_started(event=SessionStarted(f"s{number}", (1,), NOW))

    assert MAX_SESSIONS == len(follower.following)


def test_it_listens_only_while_subscribed(follower: Follower, tmp_path: Path) -> None:
    """The six signals reach it inside the block and not after it."""
    with follower.following.subscribed():
        play("s", tmp_path)
    inside = follower.heard()
    play("s2", tmp_path)

    assert ("expected", "session 1.1 1.2 2.1 2.2 3.1 3.2") == (inside[0], inside[-1])
    assert 13 == len(inside)
    assert [] == follower.heard()
