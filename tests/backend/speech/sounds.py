"""Sounds that tests speak with, and WAVs as a service might send them."""

import struct
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.speech.sound import Samples

STREAMED = 0xFFFFFFFF
"""The length in the header of a WAV whose length was not known when it was sent."""


def syllables(sample_rate: int, *, duration_s: float = 1.5, pitch_hz: float = 140) -> Samples:
    """Return something like speech: harmonics that swell four times a second."""
    times = np.arange(round(duration_s * sample_rate)) / sample_rate
    tone = sum(np.sin(2 * np.pi * pitch_hz * h * times) / h for h in range(1, 6))
    y: Samples = (0.2 * tone * np.sin(np.pi * 4 * times) ** 2).astype(np.float32)
    return y


def pcm16(y: Samples) -> bytes:
    """Return mono 16-bit little-endian PCM."""
    return np.rint(y * 32_767).astype("<i2").tobytes()


def pcm24(y: Samples) -> bytes:
    """Return mono 24-bit little-endian PCM."""
    wide: NDArray[np.uint8] = np.rint(y * (2**31 - 1)).astype("<i4").view(np.uint8)
    return wide.reshape(-1, 4)[:, 1:].tobytes()


def riff(
    data: bytes,
    sample_rate: int,
    *,
    channels: int = 1,
    bits: int = 16,
    coding: int = 1,
    block_align: int | None = None,
    data_size: int | None = None,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """Return a WAV of `data` with any header."""
    frame = block_align or channels * bits // 8
    layout = struct.pack("<HHIIHH", coding, channels, sample_rate, sample_rate * frame, frame, bits)
    size = len(data) if data_size is None else data_size
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout + before
    chunks += b"data" + struct.pack("<I", size) + data + after
    whole = STREAMED if data_size == STREAMED else 4 + len(chunks)
    return b"RIFF" + struct.pack("<I", whole) + b"WAVE" + chunks


def read(path: Path) -> tuple[Samples, int]:
    """Return samples and rate of a finished file, having checked that it is mono 16-bit."""
    with wave.open(str(path)) as file:
        assert (1, 2) == (file.getnchannels(), file.getsampwidth())
        frames = file.readframes(file.getnframes())
        assert 2 * file.getnframes() == len(frames)
        y: Samples = np.frombuffer(frames, "<i2").astype(np.float32) / np.float32(32_768)
        return y, file.getframerate()
