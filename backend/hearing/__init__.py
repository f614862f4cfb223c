"""Speech to text: the interface, the decoder of recordings, the engines."""

from backend.hearing.engine import (
    MAX_DURATION_S,
    MIN_DURATION_S,
    SAMPLE_RATE,
    HearingEngine,
    Transcript,
    Word,
)

__all__ = [
    "MAX_DURATION_S",
    "MIN_DURATION_S",
    "SAMPLE_RATE",
    "HearingEngine",
    "Transcript",
    "Word",
]
