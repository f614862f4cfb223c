"""Speech as samples: read, levelled, measured and written as WAV files."""

from backend.speech.sound.loudness import Samples, active_level, level, peak_level
from backend.speech.sound.pitch import pitch_range
from backend.speech.sound.riff import MAX_BODY_BYTES, TruncatedError, decode
from backend.speech.sound.wav import write_pcm, write_speech

__all__ = [
    "MAX_BODY_BYTES",
    "Samples",
    "TruncatedError",
    "active_level",
    "decode",
    "level",
    "peak_level",
    "pitch_range",
    "write_pcm",
    "write_speech",
]
