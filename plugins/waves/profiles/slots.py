"""Profile `slots`: two waves, or six for a summary, each in the band of the dish that it plays in.

The steps are those of V3, with two differences: wave i follows harmonic i with a frequency of its
own, the voice's range of f0 mapped to the band of its dish, and there is one for each target dish.
"""

from collections.abc import Mapping
from typing import Any

from plugins.waves.profiles.registry import Profile
from plugins.waves.profiles.voice import Array, Voice
from plugins.waves.v3 import reference

BANDS_HZ = {1: (80, 100), 2: (50, 70), 3: (20, 40), 4: (20, 40), 5: (50, 70), 6: (80, 100)}
SLOTS = tuple(BANDS_HZ)


def targets(slot_id: int) -> tuple[int, ...]:
    """Return the dishes of the waves: the speaker's and its neighbour, or all for a summary."""
    return (slot_id, slot_id % len(SLOTS) + 1) if slot_id else SLOTS


def make(voice: Voice, _: Mapping[str, Any]) -> Array:
    """Return the waves [shape=(number of targets, n)], before clipping."""
    f0, voiced = voice.pitch
    pitch, voiced_f0 = reference.to_samples(f0, voice.samples.size), f0[voiced]
    bands = (BANDS_HZ[dish] for dish in targets(voice.slot_id))
    frequencies = [reference.map_frequency(pitch, voiced_f0, band) for band in bands]
    return reference.synthesise(voice.samples, f0, voiced, frequencies)


profile = Profile(make, targets)
