"""The paths of the waves of a recording."""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from backend.storage import (
    WAV_SUFFIX,
    WAVE_NUMBERS,
    plain_name,
    profile_of,
    turn_index_of,
    wave_name,
)
from plugins.waves.errors import WavesError

Targets = tuple[Path, ...]
Sets = Mapping[str, Targets]
"""The files of each set of waves, by its profile, V3's first."""


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


def standing(directory: Path, wav_path: Path) -> Sets:
    """Return the waves of `wav_path` that are in `directory`; of a set with gaps none."""
    base, found = base_name(wav_path), dict[str, int]()
    with suppress(OSError):
        for path in directory.iterdir():
            if profile := profile_of(path.name, base):
                found[profile] = found.get(profile, 0) + 1
    return {
        profile: targets
        for profile, count in sorted(found.items(), key=lambda one: one[0] != "v3")
        if count == len(WAVE_NUMBERS) or profile != "v3"
        if all(map(os.path.lexists, targets := targets_in(directory, wav_path, profile, count)))
    }


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
