"""Where the three waves of a recording stand.

    <artifacts>/tts/sessions/<session_id>/turn_<N>/<base>.wav
    <artifacts>/waves/sessions/<session_id>/turn_<N>/<base>_v3_wave{1,2,3}.wav

The waves of any other file stand in the directory that is asked for, under the same names.
"""

import os
import re
from pathlib import Path

from backend.storage import safe_part
from plugins.waves.errors import WavesError

WAVE_NUMBERS = (1, 2, 3)
SUFFIX = ".wav"
_TURN = re.compile(r"turn_[1-9][0-9]*")
_WAVE_NAME = re.compile(r".+_v3_wave[123]\.wav")

Targets = tuple[Path, Path, Path]


def session_targets(wav_path: Path, root: Path) -> Targets:
    """Return where the waves of an utterance under the artifacts root go.

    Raises
    ------
    WavesError
        If `wav_path` is not `<root>/tts/sessions/<session_id>/turn_<N>/<base>.wav`.
    ArtifactError
        If a part of it is not a plain name.
    """
    parts = _parts_below(wav_path, root)
    if (
        len(parts) != 5
        or parts[:2] != ("tts", "sessions")
        or not _TURN.fullmatch(parts[3])
        or not parts[4].endswith(SUFFIX)
    ):
        raise WavesError(
            f"{str(wav_path)[:300]!r} is not <artifacts>/tts/sessions/<session>/turn_<N>/<name>.wav"
        )
    for part in parts[2:]:
        safe_part(part)
    return targets_in(root / "waves" / Path(*parts[1:4]), wav_path)


def targets_in(directory: Path, wav_path: Path) -> Targets:
    """Return where the waves of `wav_path` go when they are to stand in `directory`."""
    base = base_name(wav_path)
    first, second, third = (directory / f"{base}_v3_wave{h}{SUFFIX}" for h in WAVE_NUMBERS)
    return first, second, third


def base_name(wav_path: Path) -> str:
    """Return the file name without `.wav`, in whatever case; other dots belong to the name."""
    name = wav_path.name
    return name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name


def is_turn(name: str) -> bool:
    """Tell whether a directory called `name` holds the recordings of a turn."""
    return _TURN.fullmatch(name) is not None


def is_wave(path: Path) -> bool:
    """Tell whether `path` has the name of a wave."""
    return _WAVE_NAME.fullmatch(path.name) is not None


def _parts_below(path: Path, root: Path) -> tuple[str, ...]:
    """Return the parts of `path` below `root`, as written, or nothing if it is not below."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links are check_source's business
    try:
        return absolute.relative_to(os.path.abspath(root)).parts  # noqa: PTH100 - as above
    except ValueError:
        return ()
