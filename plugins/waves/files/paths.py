"""The paths of the three waves of a recording."""

import os
from pathlib import Path

from backend.storage import WAV_SUFFIX, WAVE_NUMBERS, plain_name, turn_index_of, wave_name
from plugins.waves.errors import WavesError

Targets = tuple[Path, ...]


def session_targets(wav_path: Path, root: Path) -> Targets:
    """Return where the waves of an utterance under the artifacts root go.

    Raises WavesError if `wav_path` is not
    `<root>/tts/sessions/<session_id>/turn_<N>/<base>.wav`. Raises ArtifactError if a part of it
    is not a plain name.
    """
    parts = _parts_below(wav_path, root)
    if (
        len(parts) != 5
        or parts[:2] != ("tts", "sessions")
        or turn_index_of(parts[3]) is None
        or not parts[4].endswith(WAV_SUFFIX)
    ):
        raise WavesError(
            f"{str(wav_path)[:300]!r} is not <artifacts>/tts/sessions/<session>/turn_<N>/<name>.wav"
        )
    for part in parts[2:]:
        plain_name(part)
    return targets_in(root / "waves" / Path(*parts[1:4]), wav_path)


def targets_in(
    directory: Path, wav_path: Path, profile: str = "v3", count: int = len(WAVE_NUMBERS)
) -> Targets:
    """Return where the `count` waves of `wav_path` go when they are to stand in `directory`."""
    base = base_name(wav_path)
    return tuple(directory / wave_name(base, profile, number) for number in range(1, count + 1))


def base_name(wav_path: Path) -> str:
    """Return the file name without `.wav`, in whatever case; other dots belong to the name."""
    name = wav_path.name
    return name[: -len(WAV_SUFFIX)] if name.lower().endswith(WAV_SUFFIX) else name


def _parts_below(path: Path, root: Path) -> tuple[str, ...]:
    """Return the parts of `path` below `root`, as written, or nothing if it is not below."""
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - links are check_source's business
    try:
        return absolute.relative_to(os.path.abspath(root)).parts  # noqa: PTH100 - as above
    except ValueError:
        return ()
