"""Sessions that only happen on the bus: the signals of the workflow and of the waves plugin."""

import wave
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.signals import (
    Kind,
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
from plugins.waves.signals import WaveSet, WavesFailed, WavesWritten, waves_failed, waves_written

NOW = datetime(2026, 11, 22, 18, 4, 5, tzinfo=UTC)
KINDS: dict[int, Kind] = {1: "response", 2: "comment", 3: "reply", 4: "summary"}
FIGURES: dict[str, Any] = {"queued_ms": 1.0, "running_ms": 2.0}
DONE_FIGURES: dict[str, Any] = {
    **FIGURES,
    "rmse": 0.1,
    "duration_s": 1.0,
    "sample_rate": 8000,
    "clipped_samples": 0,
    "voiced_ratio": 0.5,
    "frames": 800,
    "peaks": (0.5, 0.25, 0.125),
    "rms": (0.25, 0.125, 0.0625),
}


def spoken(
    session_id: str,
    turn_index: int,
    slot_id: int,
    target: int | None = None,
    root: Path = Path("/artifacts"),
) -> TtsWritten:
    """Return the event of an utterance."""
    middle = {1: "", 2: f"comment_to_slot-{target}_", 3: "reply_", 4: "summary_"}[turn_index]
    turn = f"tts/sessions/{session_id}/turn_{turn_index}"
    audio_path = f"{turn}/slot-{slot_id}_{middle}gpt-4o_calm_soothing.wav"
    return TtsWritten(
        session_id=session_id,
        turn_index=turn_index,
        kind=KINDS[turn_index],
        slot_id=slot_id,
        agent_id="gpt-4o",
        voice_profile="calm_soothing",
        target_slot_id=target,
        wav_path=root / audio_path,
        audio_path=audio_path,
        written_at=NOW,
        text="Water.",
    )


def done(
    source: TtsWritten, files: tuple[Path, ...] = (), *, backfill: bool = False
) -> WavesWritten:
    """Return the event of its waves."""
    return WavesWritten(source, files, **DONE_FIGURES, backfill=backfill)


def with_slots(event: WavesWritten, *, is_new: bool = True) -> WavesWritten:
    """Return the event with a set of the profile `slots` beside that of V3, made now or before."""
    first = event.files[0]
    files = tuple(first.with_name(first.name.replace("v3_wave1", f"slots_wave{n}")) for n in (1, 2))
    targets = (event.source.slot_id, event.source.slot_id + 1)
    slots = WaveSet(
        "slots", files, targets, (0.5, 0.5), (0.25, 0.25), 0.1, 0.8, 1.5, 0.95, is_new=is_new
    )
    return replace(event, sets=(event.sets[0], slots))


def failed(source: TtsWritten, reason: Any = "timeout") -> WavesFailed:
    """Return the event of waves that will not come."""
    return WavesFailed(source, reason, f"a {reason}", **FIGURES)


def write_waves(source: TtsWritten, root: Path, frames: int = 800) -> tuple[Path, ...]:
    """Write three waves, of a constant each, where those of `source` stand; return their paths."""
    turn = root / "waves" / "sessions" / source.session_id / f"turn_{source.turn_index}"
    turn.mkdir(parents=True, exist_ok=True)
    files = tuple(turn / f"{source.wav_path.stem}_v3_wave{n}.wav" for n in (1, 2, 3))
    for number, path in enumerate(files, start=1):
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(number.to_bytes(2, "little") * frames)
    return files


def play(session_id: str, root: Path, slots: tuple[int, ...] = (1, 2)) -> None:
    """Send all signals of a session whose waves are there at once; slots comment in a ring."""
    emit(session_started, None, SessionStarted(session_id, slots, NOW))
    for turn_index in (1, 2, 3):
        for place, slot_id in enumerate(slots):
            target = slots[place - 1] if turn_index == 2 else None
            source = spoken(session_id, turn_index, slot_id, target, root)
            emit(tts_written, None, source)
            emit(waves_written, None, done(source, write_waves(source, root)))
        emit(turn_finished, None, TurnFinished(session_id, turn_index, slots, NOW))
    emit(session_finished, None, SessionFinished(session_id, slots, NOW))


def fail(source: TtsWritten, reason: Any) -> None:
    """Send the signal of waves that will not come."""
    emit(waves_failed, None, failed(source, reason))
