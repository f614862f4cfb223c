"""Tracked sessions: what is told, in which order, and what is not waited for.

No server runs in this process meanwhile: it would receive these signals too.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.signals import (
    SessionFinished,
    SessionStarted,
    TtsWritten,
    TurnFinished,
    emit,
    session_finished,
    session_started,
    tts_written,
    turn_finished,
)
from backend.tracking import (
    DialogueOver,
    SessionExpected,
    SessionOver,
    SessionTracker,
    TrackedEvent,
    TurnOver,
    UtteranceDone,
    UtteranceMissing,
)
from backend.tracking.tracker import MAX_SESSIONS, SILENCE_LIMIT_S
from plugins.waves.signals import (
    WavesFailed,
    WavesWritten,
    outcomes,
    waves_failed,
    waves_written,
)
from tests.patience import LIMIT_S
from tests.simulated import NOW, done, failed, play, spoken

WAIT_LIMIT_S = 100.0
SESSIONS = 1000


class Told:
    """A `SessionTracker` with a clock of its own, and all that it told."""

    def __init__(self, **limits: float) -> None:
        self.events: list[TrackedEvent] = []
        self.now = 0.0
        self.available = True
        self.tracker = SessionTracker(
            outcomes,
            self.events.append,
            available=lambda: self.available,
            clock=lambda: self.now,
            **limits,
        )

    def new(self) -> list[str]:
        """Return what was told since the last time, in short."""
        words = [_short(event) for event in self.events]
        self.events.clear()
        return words


@contextmanager
def tracking(**limits: float) -> Iterator[Told]:
    """Return what a tracker with these limits tells, which runs meanwhile."""
    told = Told(**limits)
    with told.tracker.running():
        yield told


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    """Return what a tracker tells, which runs meanwhile."""
    with tracking(wait_limit_s=WAIT_LIMIT_S) as one:
        yield one


def start(*slots: int, session_id: str = "s") -> None:
    emit(session_started, None, SessionStarted(session_id, slots, NOW))


def speak(
    turn_index: int, slot_id: int, target: int | None = None, session_id: str = "s"
) -> TtsWritten:
    source = spoken(session_id, turn_index, slot_id, target)
    emit(tts_written, None, source)
    return source


def end(outcome: WavesWritten | WavesFailed) -> None:
    """Send the outcome of an utterance."""
    if isinstance(outcome, WavesWritten):
        emit(waves_written, None, outcome)
    else:
        emit(waves_failed, None, outcome)


def close(turn_index: int) -> None:
    emit(turn_finished, None, TurnFinished("s", turn_index, (), NOW))


def finish(session_id: str = "s") -> None:
    emit(session_finished, None, SessionFinished(session_id, (), NOW))


def _short(event: TrackedEvent) -> str:
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


async def test_a_turn_names_the_slots_of_its_session(told: Told) -> None:
    """A session says at its start how many turns it has, and each turn which slots there are."""
    emit(session_started, None, SessionStarted("s", (2, 5), NOW, turns=4))
    speak(1, 2)
    close(1)
    end(done(spoken("s", 1, 2)))

    expected, _, turn = told.events
    assert isinstance(expected, SessionExpected)
    assert isinstance(turn, TurnOver)
    assert (4, (2, 5)) == (expected.turns, turn.slot_ids)


async def test_a_whole_session_is_told_in_order(told: Told) -> None:
    """Utterances as they come, then dialogues, turns by number, at last the session."""
    start(1, 2)
    one, two = speak(1, 1), speak(1, 2)
    end(done(two))
    close(1)
    end(done(one))
    assert ["expected", "done 1.2", "done 1.1", "turn 1 1.1 1.2"] == told.new()

    on_two, on_one = speak(2, 1, target=2), speak(2, 2, target=1)
    close(2)
    reply = speak(3, 1)
    close(3)
    finish()
    for source in (on_one, reply, on_two):
        end(done(source))

    assert [
        "done 2.2",
        "done 3.1",
        "dialogue 1 2.2 3.1",
        "done 2.1",
        "turn 2 2.1 2.2",
        "turn 3 3.1",
        "session 1.1 1.2 2.1 2.2 3.1",
    ] == told.new()
    assert 0 == len(told.tracker)


async def test_empty_turns_are_over_at_once(told: Told) -> None:
    """A session of one slot has two turns without utterances, told as they finish."""
    start(1)
    end(done(speak(1, 1)))
    for turn_index in (1, 2, 3):
        close(turn_index)
    finish()

    assert ["turn 1 1.1", "turn 2", "turn 3", "session 1.1"] == told.new()[2:]


@pytest.mark.parametrize("reason", ["queue_full", "timeout", "crashed", "stopped"])
async def test_what_failed_is_not_waited_for(told: Told, reason: str) -> None:
    """A job that was refused, failed or timed out is missing, and its groups are partial."""
    start(1, 2)
    one, two = speak(1, 1), speak(1, 2)
    close(1)
    end(done(one))
    end(failed(two, reason))
    finish()

    assert [f"missing 1.2 {reason}", "turn 1 1.1 -1.2", "session 1.1 -1.2"] == told.new()[2:]


async def test_waves_that_are_made_later_count_in_time(told: Told) -> None:
    """Success after a failure heals the turn if it is not over yet; a second success is nothing."""
    start(1, 2)
    one, two = speak(1, 1), speak(1, 2)
    end(failed(one, "queue_full"))
    end(done(one, backfill=True))
    end(done(one, backfill=True))
    end(failed(one, "error"))
    end(done(two))
    close(1)

    assert [
        "expected",
        "missing 1.1 queue_full",
        "done 1.1",
        "done 1.2",
        "turn 1 1.1 1.2",
    ] == told.new()


async def test_nothing_is_waited_for_if_the_plugin_is_off(told: Told) -> None:
    """With the plugin off each utterance is missing as soon as its speech is written."""
    told.available = False
    start(1)
    speak(1, 1)
    close(1)
    finish()

    assert [
        "expected",
        "missing 1.1 not_running",
        "turn 1 -1.1",
        "session -1.1",
    ] == told.new()


async def test_a_plugin_that_stops_is_noticed(told: Told) -> None:
    """What was awaited when the plugin stopped is given up at the next sweep."""
    start(1)
    speak(1, 1)
    close(1)
    told.tracker.sweep()
    assert ["expected"] == told.new()

    told.available = False
    told.tracker.sweep()

    assert ["missing 1.1 not_running", "turn 1 -1.1"] == told.new()


async def test_the_time_after_the_speech_is_limited(told: Told) -> None:
    """An utterance without an outcome is missing after the limit; what comes later is only told."""
    start(1, 2)
    late, later = speak(1, 1), speak(1, 2)
    finish()
    told.now = WAIT_LIMIT_S - 1
    told.tracker.sweep()
    assert ["expected"] == told.new()

    told.now = WAIT_LIMIT_S
    told.tracker.sweep()
    end(done(late))
    end(failed(later))

    assert [
        "missing 1.1 no_answer",
        "missing 1.2 no_answer",
        "turn 1 -1.1 -1.2",
        "session -1.1 -1.2",
        "done 1.1",
        "missing 1.2 timeout",
    ] == told.new()


async def test_a_session_cut_short_ends(told: Told) -> None:
    """Where a turn never finished, the session's end stands for it; later turns are not told."""
    start(1, 2)
    one = speak(1, 1)
    finish()
    end(done(one))

    assert ["expected", "done 1.1", "turn 1 1.1", "session 1.1"] == told.new()


async def test_what_is_not_known_is_only_told(told: Told) -> None:
    """Waves of an earlier session, and signals without their session, move no barrier."""
    end(done(spoken("earlier", 1, 1), backfill=True))
    end(failed(spoken("earlier", 1, 2), "invalid_audio"))
    assert ["done 1.1", "missing 1.2 invalid_audio"] == told.new()

    end(done(speak(1, 3)))
    close(1)
    finish()

    assert ["done 1.3", "turn 1 1.3", "session 1.3"] == told.new()
    assert 0 == len(told.tracker)


async def test_turns_are_told_in_their_order(told: Told) -> None:
    """A turn that is ready early waits for the one before it."""
    start(1, 2)
    slow = speak(1, 1)
    close(1)
    end(done(speak(2, 1, target=2)))
    close(2)
    assert ["expected", "done 2.1"] == told.new()

    end(done(slow))

    assert ["done 1.1", "turn 1 1.1", "turn 2 2.1"] == told.new()


async def test_the_median_is_that_of_the_latest_waits(told: Told) -> None:
    """A session is told what utterances took lately; nothing that failed counts."""
    for waited in (1.0, 2.0, 9.0, 3.0):
        source = speak(1, int(waited))
        told.now += waited
        end(done(source))
    dropped = speak(2, 1, target=2)
    end(failed(dropped))
    told.now += 50
    end(done(dropped, backfill=True))
    told.events.clear()
    start(1)

    expected = told.events[0]
    assert isinstance(expected, SessionExpected)
    assert 2.5 == expected.median_s


async def test_sessions_without_an_end_are_given_up(told: Told) -> None:
    """One that sends nothing for an hour is over, and the oldest one when there are too many."""
    start(1)
    speak(1, 1)
    told.now = SILENCE_LIMIT_S
    told.tracker.sweep()
    assert ["missing 1.1 no_answer", "turn 1 -1.1", "session -1.1"] == told.new()[1:]
    assert 0 == len(told.tracker)

    for number in range(MAX_SESSIONS + 5):
        start(1, session_id=f"s{number}")

    over = [event.session_id for event in told.events if isinstance(event, SessionOver)]
    assert [f"s{number}" for number in range(5)] == over
    assert MAX_SESSIONS == len(told.tracker)


async def test_the_time_after_the_end_is_limited() -> None:
    """With a limit from the session's end an utterance is awaited so long after that."""
    with tracking(end_limit_s=WAIT_LIMIT_S) as told:
        start(1, 2)
        first, _ = speak(1, 1), speak(1, 2)
        told.now = 2 * WAIT_LIMIT_S
        told.tracker.sweep()
        finish()
        end(done(first))
        told.now += WAIT_LIMIT_S - 1
        told.tracker.sweep()
        assert ["expected", "done 1.1"] == told.new()

        told.now += 1
        told.tracker.sweep()

        assert ["missing 1.2 no_answer", "turn 1 1.1 -1.2", "session 1.1 -1.2"] == told.new()


async def test_only_one_outcome_is_the_first(told: Told) -> None:
    """Each outcome is told with whether it is the first one of its utterance."""
    start(1, 2)
    one, two = speak(1, 1), speak(1, 2)
    for outcome in (failed(one), failed(one), done(one), failed(two)):
        end(outcome)

    assert [True, False, False, True] == [
        event.first for event in told.events if isinstance(event, UtteranceDone | UtteranceMissing)
    ]


async def test_time_limits_are_checked_while_it_runs() -> None:
    """Without any further signal an utterance is given up when its time is over."""
    over = asyncio.Event()

    def tell(event: TrackedEvent) -> None:
        if isinstance(event, SessionOver):
            over.set()

    tracker = SessionTracker(outcomes, tell, available=lambda: True, wait_limit_s=0.01)
    with tracker.running():
        start(1)
        speak(1, 1)
        finish()
        async with asyncio.timeout(LIMIT_S):
            await over.wait()


async def test_nothing_is_left_of_a_thousand_sessions(told: Told) -> None:
    """After any number of sessions none is tracked, and each was told as over once."""
    for name in map(str, range(SESSIONS)):
        start(1, session_id=name)
        end(done(speak(1, 1, session_id=name)))
        finish(name)

    assert 0 == len(told.tracker)
    assert SESSIONS == sum(isinstance(event, SessionOver) for event in told.events)


async def test_it_receives_only_while_it_runs(tmp_path: Path) -> None:
    """The six signals reach it inside the block and not after it."""
    with tracking() as told:
        play("s", tmp_path)
        inside = told.new()
    play("s2", tmp_path)

    assert ("expected", "session 1.1 1.2 2.1 2.2 3.1 3.2") == (inside[0], inside[-1])
    assert 13 == len(inside)
    assert [] == told.new()
