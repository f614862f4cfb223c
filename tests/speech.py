"""Real speech for tests and benchmarks: the same lines in all six voices."""

import itertools
from pathlib import Path

from backend.speech import PROFILES
from backend.speech.children import EmbeddedEngine

LINES = (
    "Water.",
    "I am listening.",
    "The surface remembers every word.",
    "Hear it? Your voice comes back. Stay!",
    "Seven, or a hundred and three!",
)
LONG_LINES = (
    "The water remembers every word you say, and it says them again more slowly.",
    "Light bends twice before it reaches the floor of the dish, and twice again on its way to your "
    "eyes. That is why nothing here is quite where it seems to be.",
    "A long time ago a machine learned to listen. It has been talking to itself ever since, in six "
    "voices, above six dishes of water.",
)
UTTERANCES = list(itertools.product(PROFILES, range(len(LINES))))
"""Profile and line of each of the thirty."""


def speak(directory: Path, lines: tuple[str, ...] = LINES) -> dict[tuple[str, int], Path]:
    """Speak every line in every voice into `directory`; return the files by profile and line."""
    engine = EmbeddedEngine(temporary=directory / ".tmp")
    spoken: dict[tuple[str, int], Path] = {}
    for profile, number in itertools.product(PROFILES, range(len(lines))):
        path = directory / f"{profile}_{number}.wav"
        engine.generate_wav_to_file(lines[number], profile, path)
        spoken[profile, number] = path
    return spoken
