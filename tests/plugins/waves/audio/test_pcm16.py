"""Writing 16-bit WAVs exactly."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from plugins.waves.audio import pcm16
from tests.plugins.waves import corpus


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_integers_are_those_of_soundfile(dtype: Any) -> None:
    """to_pcm16 gives the very integers soundfile writes, clipping included."""
    edges = [0, 1e-9, -1e-9, 1 / 65536, -1 / 65536, 1, -1, 1.5, -7.9, 32767 / 32768]
    steps = np.arange(-32768, 32768)
    noise = np.random.default_rng(1).uniform(-1.1, 1.1, 200_000)
    wave = np.concatenate([edges, steps / 32768, steps / 32767, noise]).astype(dtype)
    file = io.BytesIO()
    sf.write(file, wave, 8_000, format="WAV", subtype="PCM_16")
    file.seek(0)

    integers, clipped = pcm16.to_pcm16(wave)

    np.testing.assert_array_equal(integers, sf.read(file, dtype="int16")[0])
    assert integers.dtype == np.int16
    exact = wave.astype(np.float64)
    assert clipped == np.count_nonzero((exact > 1 - 2**-32) | (exact < -1 - 2**-32))


def test_clipped_samples_are_counted() -> None:
    """Every sample beyond what 16 bits hold is counted, and none that fits."""
    integers, clipped = pcm16.to_pcm16(np.array([0.99996, -1.0, 1.0, 2.0, -1.1, np.pi]))

    assert integers.tolist() == [32766, -32768, 32767, 32767, -32768, 32767]
    assert clipped == 4


def test_a_wave_is_encoded_as_soundfile_would_write_it(tmp_path: Path) -> None:
    """A wave becomes, byte for byte, the file that soundfile writes."""
    wave = corpus.tone(8_000)
    integers, _ = pcm16.to_pcm16(wave)
    theirs = tmp_path / "theirs.wav"
    sf.write(theirs, wave, 8_000, subtype="PCM_16")

    assert pcm16.encode(integers, 8_000) == theirs.read_bytes()


def test_levels_are_those_of_the_samples() -> None:
    """Peak and RMS are fractions of full scale; the most negative sample is full scale."""
    assert pcm16.level(np.array([16_384, -16_384, 16_384], np.int16)) == (0.5, 0.5)
    assert pcm16.level(np.full(10, -32_768, np.int16)) == (1.0, 1.0)
    assert pcm16.level(np.zeros(0, np.int16)) == (0.0, 0.0)


def test_what_was_encoded_is_decoded() -> None:
    """Samples come back as they were; an odd byte at the end is left out."""
    samples = np.arange(-5, 5, dtype=np.int16)

    assert np.array_equal(pcm16.decode(pcm16.encode(samples, 8_000) + b"x"), samples)
