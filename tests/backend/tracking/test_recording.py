"""Payloads as lines of a file, and back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from backend.signals import (
    EventPublished,
    SessionStarted,
    Signal,
    SpeechHeard,
    TtsWritten,
    defined,
    event_published,
    session_started,
    speech_heard,
    tts_written,
)
from backend.storage import Artifacts
from backend.tracking import (
    PayloadError,
    RecordingError,
    read_recording,
    recording_header,
    recording_line,
    recording_path,
)
from plugins.mood.signals import MoodRead, mood_read
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written

ID = "20261122T180405Z-1f2e3d4c"
NOW = datetime(2026, 11, 22, 18, 4, 5, tzinfo=UTC)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


def utterance(root: Path, text: str = "What ünder") -> TtsWritten:
    wav = root / "tts" / "a.wav"
    return TtsWritten(ID, 2, "comment", 1, "gpt-4o", "calm", 3, wav, "tts/a.wav", NOW, text)


FAILED = WavesFailed(utterance(Path("/"), "secret words"), "error", "it broke", 1.0, 2.0)


def write(artifacts: Artifacts, *lines: bytes) -> None:
    path = recording_path(artifacts, ID)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(recording_header(ID) + b"".join(lines))


def test_what_is_written_is_read_again(artifacts: Artifacts) -> None:
    """Payloads within payloads, paths, times and tuples come back as they were."""
    source = utterance(artifacts.root)
    files = tuple(artifacts.root / f"{number}.wav" for number in (1, 2, 3))
    peaks = (0.5, 0.25, 0.125)
    waves = WavesWritten(source, files, 0.1, 1.5, 8000, 0, 0.5, 12_000, peaks, peaks, 1.0, 2.0)
    started = SessionStarted(ID, (1, 2), NOW, None, None, 3, 7)
    rows: list[tuple[Signal[Any], Any]] = [
        (session_started, started),
        (tts_written, source),
        (waves_written, waves),
    ]
    write(
        artifacts,
        *(recording_line(n, *row, artifacts.root, keep_texts=True) for n, row in enumerate(rows)),
    )

    recording = read_recording(artifacts, ID)
    assert rows == [(one.signal, one.event) for one in recording.signals]
    assert [0.0, 1.0, 2.0] == [one.at_s for one in recording.signals]
    assert {} == recording.skipped


def test_paths_follow_the_artifacts_root(artifacts: Artifacts, tmp_path: Path) -> None:
    """Files that were moved with their root are found where they are now."""
    moved = Artifacts(tmp_path / "moved")
    written = recording_line(
        0, tts_written, utterance(artifacts.root), artifacts.root, keep_texts=True
    )
    write(moved, written)

    (one,) = read_recording(moved, ID).signals

    assert moved.root / "tts" / "a.wav" == one.event.wav_path


@pytest.mark.parametrize(
    ("signal", "event"),
    [
        (tts_written, utterance(Path("/"), "secret words")),
        (waves_failed, FAILED),
        (event_published, EventPublished(ID, 2, "slot.done", '{"text": "secret words"}')),
    ],
)
def test_what_agents_say_is_written_where_it_is_kept(signal: Signal[Any], event: Any) -> None:
    """Without `RR_KEEP_TEXTS` no words of theirs stand in the file, however deep."""
    assert b"secret words" in recording_line(0, signal, event, Path("/"), keep_texts=True)
    assert b"secret" not in recording_line(0, signal, event, Path("/"), keep_texts=False)


@pytest.mark.parametrize("keep_texts", [True, False])
@pytest.mark.parametrize(
    ("signal", "event"),
    [
        (speech_heard, SpeechHeard("h", 1.0, "en", NOW, "secret words")),
        (session_started, SessionStarted(ID, (1,), NOW, None, "secret words")),
        (mood_read, MoodRead(ID, "positive", "secret words", "model")),
    ],
)
def test_what_visitors_say_is_never_written(
    signal: Signal[Any], event: Any, keep_texts: bool
) -> None:
    """The file is removed with the waves, which may stay for longer than the recording."""
    assert b"secret" not in recording_line(0, signal, event, Path("/"), keep_texts=keep_texts)


def test_a_line_without_its_end_is_ignored(artifacts: Artifacts) -> None:
    """What a killed process left half written is forgotten, and a damaged line counted."""
    whole = recording_line(
        0, tts_written, utterance(artifacts.root), artifacts.root, keep_texts=True
    )
    write(artifacts, whole, b"{broken\n", b'{"t":1,"signal":"tides"}\n', whole[:-1])

    recording = read_recording(artifacts, ID)

    assert 1 == len(recording.signals)
    assert {"no signal None is defined here": 1, "no signal tides is defined here": 1} == (
        recording.skipped
    )


def test_a_file_of_another_version_is_refused(artifacts: Artifacts) -> None:
    """A schema that is not known is not guessed at; a session without a file is named."""
    with pytest.raises(RecordingError, match=f"of the session {ID} no signals were recorded"):
        read_recording(artifacts, ID)
    path = recording_path(artifacts, ID)
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"schema": 2}\n')

    with pytest.raises(RecordingError, match="has the schema 2; this version reads 1"):
        read_recording(artifacts, ID)


def test_a_payload_that_cannot_be_written_is_named(artifacts: Artifacts) -> None:
    """A field of a class of its own is no plain type."""

    class Tide:
        pass

    @dataclass(frozen=True)
    class Turned:
        tide: Tide

    with pytest.raises(PayloadError, match="Turned is not of plain types"):
        recording_line(0, tts_written, Turned(Tide()), artifacts.root, keep_texts=True)


def test_every_signal_of_ours_can_be_written() -> None:
    """The payload classes of the host and of the plugins are of plain types."""
    from pydantic import TypeAdapter

    assert waves_written in defined()
    for signal in defined():
        if signal.payload is not object and signal.payload.__module__.startswith(
            ("backend", "plugins")
        ):
            TypeAdapter(signal.payload)
