"""Recordings as browsers and pages make them, encoded here by av, and sentences that are spoken."""

import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
import soxr

from backend.speech import VoiceProfile
from backend.speech.children import EmbeddedEngine

NEEDS_MOONSHINE = pytest.mark.skipif(
    find_spec("moonshine_voice") is None, reason="moonshine has no wheel for this machine"
)
RATE = 48_000
"""As browsers record."""
CONTAINERS = {
    "webm": ("webm", "libopus", "audio/webm"),
    "mp4": ("mp4", "aac", "audio/mp4"),
    "ogg": ("ogg", "libopus", "audio/ogg"),
    "wav": ("wav", "pcm_s16le", "audio/wav"),
    "mp3": ("mp3", "libmp3lame", "audio/mpeg"),
    "m4a": ("ipod", "aac", "audio/mp4"),
    "flac": ("flac", "flac", "audio/flac"),
    "alac": ("ipod", "alac", "audio/mp4"),
    "fragmented mp4": ("mp4", "aac", "audio/mp4"),
}
"""By name: muxer, encoder and MIME type."""


def encode(y: "np.ndarray[Any, Any]", name: str, rate: int = RATE) -> bytes:
    """Return `y`, full scale +-1, in the container called `name`."""
    muxer, encoder, _ = CONTAINERS[name]
    options = {"movflags": "frag_keyframe+empty_moov"} if name == "fragmented mp4" else {}
    out = io.BytesIO()
    with av.open(out, "w", format=muxer, options=options) as container:
        stream: Any = container.add_stream(encoder, rate=rate)
        stream.layout = "mono"
        samples = np.round(y * 32_767).astype("<i2")[None, :]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.codec_context.format or "s16", layout="mono", rate=rate
        )
        for part in resampler.resample(frame):
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return out.getvalue()


def spoken(
    text: str, folder: Path, profile: VoiceProfile = "warm_professional"
) -> "np.ndarray[Any, Any]":
    """Return `text` as the embedded voice speaks it, at `RATE`."""
    path = folder / "spoken.wav"
    EmbeddedEngine(temporary=folder).generate_wav_to_file(text, profile, path)
    y, sample_rate = soundfile.read(path, dtype="float32")
    resampled: np.ndarray[Any, Any] = soxr.resample(y, sample_rate, RATE)
    return resampled


def tone(duration_s: float, hz: float = 220.0) -> "np.ndarray[Any, Any]":
    """Return a tone at `RATE`."""
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(round(duration_s * RATE)) / RATE)


def word_errors(said: str, understood: str) -> tuple[int, int]:
    """Return the edit distance in words, and the number of words that were said."""
    reference, found = _words(said), _words(understood)
    row = list(range(len(found) + 1))
    for i, word in enumerate(reference, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1], len(reference)


def _words(text: str) -> list[str]:
    return "".join(c for c in text.lower() if c.isalnum() or c.isspace()).split()
