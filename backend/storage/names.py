"""The names of sessions, turns, speech and waves below the artifacts root.

tts/sessions/<session_id>/session.json
                          turn_1/slot-<n>_<agent>_<voice>.wav                       response
                          turn_2/slot-<n>_comment_to_slot-<target>_<agent>_<voice>.wav
                          turn_3/slot-<n>_reply_<agent>_<voice>.wav
                          turn_4/slot-0_summary_<agent>_<voice>.wav
waves/sessions/<session_id>/session.json
                            turn_<N>/<name of the speech>_v3_wave{1,2,3}.wav
                                     <name of the speech>_<profile>_wave<i>.wav
stt/sessions/<heard_id>/input.<one of RECORDING_TYPES>    and others, see `backend.hearing.keeping`
"""

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, cast

from backend.errors import ArtifactError

SESSION_FILE = "session.json"
WAV_SUFFIX = ".wav"
WAVE_NUMBERS = (1, 2, 3)
RECORDING_TYPES = {
    ".wav": "audio/wav",
    ".webm": "audio/webm",
    ".ogg": "audio/ogg",
    ".mp4": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
}
"""The suffixes of visitors' recordings, and their types over HTTP."""
Kind = Literal["response", "comment", "reply", "summary"]
"""As in `backend.signals`, whose libraries a worker process does not load."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
_TURN = re.compile(r"turn_([1-9][0-9]*)")
_SPEECH = re.compile(
    r"slot-(?:0_(?P<summary>summary)_|(?P<slot>[1-9][0-9]{0,3})_"
    r"(?:comment_to_slot-(?P<target>[1-9][0-9]{0,3})_|(?P<reply>reply)_)?)"
    r"(?P<agent>[^_]+)_(?P<voice>.+)\.wav"
)
_WAVE = re.compile(r"(.+)_(v3(?=_wave[123]\.)|(?!v3_)[a-z][a-z0-9]*)_wave[1-9]\.wav")


def is_plain_name(name: str) -> bool:
    """Tell whether `name` can be one part of a path on every platform."""
    return _PLAIN.fullmatch(name) is not None


def plain_name(name: str) -> str:
    """Return `name` if it can be one part of a path on every platform.

    Raises
    ------
    ArtifactError
        If it is empty, too long, starts with a dot or holds anything but letters, digits, `._-`.
    """
    if not is_plain_name(name):
        raise ArtifactError(
            f"{name[:80]!r} cannot be part of a path: use letters, digits, '.', '_' and '-'"
        )
    return name


def new_session_id(now: datetime | None = None) -> str:
    """Return an id that is unique and sorts by time, such as `20261122T180405Z-1f2e3d4c`."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}"


def turn_name(turn_index: int) -> str:
    """Return the name of a turn's directory."""
    return f"turn_{turn_index}"


def turn_index_of(name: str) -> int | None:
    """Return which turn a directory is of; None if it is of none."""
    found = _TURN.fullmatch(name)
    return int(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class SpeechName:
    """What the file name of an utterance says."""

    slot_id: int
    kind: Kind
    agent_id: str
    voice_profile: str
    target_slot_id: int | None = None

    @classmethod
    def parse(cls, name: str) -> "SpeechName | None":
        """Return what a file name says; None if it is not that of an utterance."""
        found = _SPEECH.fullmatch(name)
        if found is None:
            return None
        target = int(found["target"]) if found["target"] else None
        kind = "comment" if target else found["reply"] or found["summary"] or "response"
        return cls(
            int(found["slot"] or 0), cast("Kind", kind), found["agent"], found["voice"], target
        )

    def __str__(self) -> str:
        comment = f"comment_to_slot-{self.target_slot_id}_"
        kind = {"response": "", "comment": comment}.get(self.kind, f"{self.kind}_")
        return plain_name(f"slot-{self.slot_id}_{kind}{self.agent_id}_{self.voice_profile}.wav")


def wave_names(base: str) -> tuple[str, str, str]:
    """Return the file names of the three waves of a recording called `base` + `.wav`."""
    first, second, third = (wave_name(base, "v3", number) for number in WAVE_NUMBERS)
    return first, second, third


def wave_name(base: str, profile: str, number: int) -> str:
    """Return the file name of a wave by a profile."""
    return f"{base}_{profile}_wave{number}{WAV_SUFFIX}"


def profile_of(name: str, base: str) -> str | None:
    """Return the profile of a wave of the recording `base` + `.wav`; None if it is not its wave."""
    found = _WAVE.fullmatch(name)
    return found[2] if found and found[1] == base else None


def is_served_name(tree: str, name: str) -> bool:
    """Tell whether a file of that name below a tree may be served."""
    base, dot, suffix = name.rpartition(".")
    if tree == "stt":
        return base == "input" and dot + suffix in RECORDING_TYPES
    return tree in {"tts", "waves"} and name.endswith(WAV_SUFFIX)


def is_wave_name(name: str) -> bool:
    """Tell whether a file name is that of a wave."""
    return _WAVE.fullmatch(name) is not None
