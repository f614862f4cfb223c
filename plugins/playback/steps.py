"""What is played together, in the order of the show, and its tracks.

Turn 1 is one step once it is over, then each dialogue is: every comment, then the reply; then the
summary. A dialogue that is over earlier waits for turn 1.
"""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import structlog

from backend.signals import SUMMARY_SLOT, WorkDone
from backend.tracking import DialogueOver, SessionExpected, SessionOver, TrackedEvent, TurnOver
from plugins.playback.dishes import SPEECH, Dishes
from plugins.playback.mixer import Samples, Track

log = structlog.get_logger(__name__)

Step = tuple[WorkDone, ...]
"""Utterances that are played together."""


class Order:
    """Turns the events of sessions into steps."""

    def __init__(self) -> None:
        self._held: dict[str, list[Step]] = {}
        """Of dialogues that wait for turn 1 of their session."""

    def steps(self, event: TrackedEvent) -> list[Step]:
        """Return what is to be played from now on."""
        match event:
            case SessionExpected():
                self._held[event.session_id] = []
            case TurnOver(turn_index=1):
                return [event.done, *self._held.pop(event.session_id, [])]
            case DialogueOver():
                steps: list[Step] = [(one,) for one in event.done]
                if event.session_id not in self._held:
                    return steps
                self._held[event.session_id] += steps
            case TurnOver(turn_index=4):
                return [event.done]
            case SessionOver():
                self._held.pop(event.session_id, None)
        return []


def load(step: Step, dishes: Dishes, rate: int) -> list[Track]:
    """Return the tracks of a step at `rate` Hertz; a file that cannot be read is left out."""
    tracks = []
    for path, slot_ids, profile, wave in (one for done in step for one in _files(done)):
        gains = [pair for slot in slot_ids for pair in dishes.gains(slot, profile, wave)]
        try:
            if gains:
                tracks.append(Track(read(path, rate), tuple(gains)))
        except (OSError, soundfile.SoundFileError) as error:
            words = str(error) if path.exists() else "there is no such file"
            log.warning("a file cannot be played", file=path.name, error=words)
    return tracks


def unmade(step: Any, dishes: Dishes) -> set[tuple[str, str]]:
    """Return each channel and profile that it plays, of which an utterance has no set."""
    made = [{SPEECH, *(one.profile for one in done.sets)} for done in step]
    played = {(one.name, source.profile) for one in dishes.channels for source in one.plays}
    return {pair for pair in played if not all(pair[1] in profiles for profiles in made)}


def _files(done: Any) -> Iterator[tuple[Path, tuple[int, ...], str, int]]:
    """Yield each file of an utterance with the slots it is for, its profile and its number."""
    slot_id = done.source.slot_id
    slot_ids = tuple(range(1, 7)) if slot_id == SUMMARY_SLOT else (slot_id,)
    yield done.source.wav_path, slot_ids, SPEECH, 1
    for made in done.sets:
        each = zip(made.files, made.target_slot_ids, strict=True)
        for wave, (path, target) in enumerate(each, start=1):
            yield path, (target,) if target else slot_ids, made.profile, wave


def read(file: Path | BytesIO, rate: int) -> Samples:
    """Return the samples of a WAV, its channels mixed, at `rate` Hertz."""
    y, file_rate = soundfile.read(file, dtype="float32", always_2d=True)
    mono = np.ascontiguousarray(y.mean(axis=1))
    resampled: Samples = mono if file_rate == rate else soxr.resample(mono, file_rate, rate)
    return resampled
