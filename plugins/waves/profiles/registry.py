"""The profiles that are installed: entry points of the group `reflective_resonance.profiles`.

Another package adds one with an entry point `tide = "tides:profile"`, where `profile` is a
`Profile`. It runs in the worker process, so it imports no library of the server.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from plugins.waves.errors import ProfileError
from plugins.waves.profiles.voice import Array, Voice

_NAME = re.compile(r"[a-z][a-z0-9]*")


@dataclass(frozen=True, slots=True)
class Profile:
    """A way to make waves of a voice."""

    make: Callable[[Voice, Mapping[str, Any]], Array]
    """`make(voice, numbers)` returns the waves [shape=(number of targets, n)], full scale +-1, at
    the voice's rate; `numbers` are the settings `RR_WAVES_<PROFILE>_*`."""
    targets: Callable[[int], tuple[int, ...]]
    """`targets(slot_id)` returns the dish of each wave: 1 to 6, or 0 for any."""


def find(name: str) -> Profile:
    """Return a profile, or raise ProfileError."""
    point = _points().get(name)
    if point is None or _NAME.fullmatch(name) is None:
        known = ", ".join(("v3", *sorted(_points())))
        raise ProfileError(f"no profile {name!r}: choose one of {known}")
    profile = point.load()
    if not isinstance(profile, Profile):
        raise ProfileError(f"{point.value} is no Profile")
    return profile


@cache
def _points() -> Mapping[str, EntryPoint]:
    return {one.name: one for one in entry_points(group="reflective_resonance.profiles")}
