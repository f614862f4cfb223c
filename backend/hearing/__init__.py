"""Speech to text: the interface, the decoder of recordings, the engines."""

from backend.hearing.engine import (
    LANGUAGE_CODE,
    MAX_DURATION_S,
    MIN_DURATION_S,
    SAMPLE_RATE,
    Heard,
    HearingEngine,
    Transcript,
    Word,
)
from backend.hearing.factory import (
    create_hearing,
    create_hearing_engine,
    hearing_engine_names,
)
from backend.hearing.hearing import Hearing, State

__all__ = [
    "LANGUAGE_CODE",
    "MAX_DURATION_S",
    "MIN_DURATION_S",
    "SAMPLE_RATE",
    "Heard",
    "Hearing",
    "HearingEngine",
    "State",
    "Transcript",
    "Word",
    "create_hearing",
    "create_hearing_engine",
    "hearing_engine_names",
]
