"""`slot.waves` among a session's events: every way in which there are waves, or are none.

No server runs in this process meanwhile: it would hear these signals too.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio

from backend.plugins import Host
from backend.sessions import Done, SessionStart, SessionStream
from backend.signals import (
    SessionFinished,
    SessionStarted,
    TtsWritten,
    emit,
    session_finished,
    session_started,
    tts_written,
)
from backend.storage import Artifacts
from plugins.stream.plugin import lifespan
from plugins.stream.session_logs import SessionLogs
from plugins.stream.settings import StreamSettings
from plugins.waves.signals import WavesFailed, waves_failed, waves_written
from tests.patience import LIMIT_S
from tests.plugins.stream.reader import Message
from tests.simulated import done, with_slots

SESSION = "20261122T180000Z-00000001"
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)


@asynccontextmanager
async def telling(
    tmp_path: Path, limit_s: float = LIMIT_S, **more: int
) -> AsyncIterator[SessionLogs]:
    """Run the plugin, in a host whose waves seem to be made, in the middle of a session."""
    host = Host(Artifacts(tmp_path), lambda state, reason: None, "stream")
    host.board.open_service("waves", None)
    settings = StreamSettings.model_validate(
        {"waves": True, "waves_limit_s": limit_s, "enabled": True, **more}
    )
    async with lifespan(host, settings) as logs:
        yield logs


def begin(session_id: str = SESSION) -> SessionStream:
    """Start a session as the workflow does."""
    stream = SessionStream(session_id)
    stream.publish(SessionStart(session_id=session_id))
    emit(session_started, None, SessionStarted(session_id, (1,), NOW))
    return stream


def speak(tmp_path: Path, slot_id: int = 1) -> TtsWritten:
    """Tell of an utterance as the workflow does."""
    path = f"tts/sessions/{SESSION}/turn_1/slot-{slot_id}_heron_calm.wav"
    written = TtsWritten(
        SESSION, 1, "response", slot_id, "heron", "calm", None, tmp_path / path, path, NOW
    )
    emit(tts_written, None, written)
    return written


def finish(stream: SessionStream) -> None:
    """End a session as the workflow does."""
    stream.publish(Done(session_id=stream.session_id, completed_slots=1))
    emit(session_finished, None, SessionFinished(stream.session_id, (1,), NOW))
    stream.close()


def fail(source: TtsWritten, reason: str = "queue_full") -> None:
    """Tell that an utterance gets no waves."""
    failed = WavesFailed(source, reason, "no room in /home/show", 0, 0)  # type: ignore[arg-type]
    emit(waves_failed, "waves", failed)


def succeed(source: TtsWritten, tmp_path: Path) -> None:
    """Tell that an utterance has its waves."""
    base = tmp_path / "waves/sessions" / SESSION / "turn_1/slot-1_heron_calm_v3_wave"
    files = tuple(Path(f"{base}{n}.wav") for n in (1, 2, 3))
    emit(waves_written, "waves", replace(done(source, files), duration_s=2.0))


async def read(logs: SessionLogs) -> list[Message]:
    """Read the session to its end."""
    log = logs.find(SESSION)
    assert log is not None
    with anyio.fail_after(LIMIT_S):
        return [Message(str(number), entry.name, entry.data) async for number, entry in log.read()]


async def test_a_failure_is_told_with_its_reason(tmp_path: Path) -> None:
    """Waves that will not come are told of in one word, without any path of this machine."""
    async with telling(tmp_path) as logs:
        stream = begin()
        fail(speak(tmp_path), "invalid_audio")
        finish(stream)

        told = await read(logs)

    assert ["session.start", "slot.waves", "done"] == [message.name for message in told]
    assert ("invalid_audio", []) == (told[1].content["reason"], told[1].content["files"])
    assert "/home" not in told[1].data


async def test_the_first_outcome_of_an_utterance_is_the_one_told(tmp_path: Path) -> None:
    """Waves that are made up for after a refusal are not told of a second time."""
    async with telling(tmp_path) as logs:
        stream = begin()
        first, second = speak(tmp_path, 1), speak(tmp_path, 2)
        fail(first)
        finish(stream)
        succeed(first, tmp_path)
        succeed(second, tmp_path)

        told = await read(logs)

    assert ["session.start", "slot.waves", "done", "slot.waves"] == [m.name for m in told]
    assert [1, 2] == [m.content["slotId"] for m in told if m.name == "slot.waves"]


async def test_what_does_not_come_in_time_is_late(tmp_path: Path) -> None:
    """The stream ends at the time limit, and says of which utterances it knows nothing."""
    async with telling(tmp_path, limit_s=0.01) as logs:
        stream = begin()
        source = speak(tmp_path)
        finish(stream)
        told = await read(logs)

        succeed(source, tmp_path)
        again = await read(logs)

    assert ["session.start", "done", "slot.waves"] == [message.name for message in told]
    assert "late" == told[2].content["reason"]
    assert told == again


async def test_nobody_waits_for_waves_that_are_not_made(tmp_path: Path) -> None:
    """With the waves switched off or failed the stream ends with `done`."""
    host = Host(Artifacts(tmp_path), lambda state, reason: None, "stream")
    async with lifespan(host, StreamSettings(waves=True)) as logs:
        stream = begin()
        speak(tmp_path)
        finish(stream)

        told = await read(logs)

    assert ["session.start", "done"] == [message.name for message in told]


async def test_a_session_that_nobody_follows_is_left_alone(tmp_path: Path) -> None:
    """Waves made up for a session of before the start are told of nowhere."""
    async with telling(tmp_path) as logs:
        succeed(speak(tmp_path), tmp_path)

        assert logs.find(SESSION) is None


async def test_a_forgotten_session_ends_for_its_readers(tmp_path: Path) -> None:
    """A session that is pushed out while its waves are due ends where it is."""
    async with telling(tmp_path, keep_sessions=1) as logs:
        stream = begin()
        source = speak(tmp_path)
        log = logs.find(SESSION)
        assert log is not None
        finish(stream)
        finish(begin("another"))
        succeed(source, tmp_path)

        with anyio.fail_after(LIMIT_S):
            told = [entry.name async for _, entry in log.read()]

        assert logs.find(SESSION) is None
    assert ["session.start", "done"] == told


async def test_the_waves_of_all_profiles_are_told(tmp_path: Path) -> None:
    """V3's three come first."""
    async with telling(tmp_path) as logs:
        stream = begin()
        source = speak(tmp_path)
        base = f"waves/sessions/{SESSION}/turn_1/slot-1_heron_calm_"
        files = tuple(tmp_path / f"{base}v3_wave{n}.wav" for n in (1, 2, 3))
        emit(waves_written, "waves", with_slots(done(source, files)))
        finish(stream)

        told = await read(logs)

    names = [*(f"v3_wave{n}" for n in (1, 2, 3)), "slots_wave1", "slots_wave2"]
    assert [f"{base}{name}.wav" for name in names] == told[1].content["files"]
