"""Writing 16-bit WAVs exactly."""

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from plugins.waves.audio import pcm16
from plugins.waves.errors import PublishError
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


def test_a_written_file_is_what_soundfile_would_write(tmp_path: Path) -> None:
    """A wave is written byte for byte as soundfile writes it."""
    wave = corpus.tone(8_000)
    integers, _ = pcm16.to_pcm16(wave)
    ours, theirs = tmp_path / "ours.wav", tmp_path / "theirs.wav"
    sf.write(theirs, wave, 8_000, subtype="PCM_16")

    digest = pcm16.write_pcm16(ours, integers, 8_000)

    assert ours.read_bytes() == theirs.read_bytes()
    assert digest == hashlib.sha256(ours.read_bytes()).hexdigest()
    assert pcm16.verify(ours, 8_000, 8_000) == digest


def test_an_existing_file_is_not_written_over(tmp_path: Path) -> None:
    """write_pcm16 makes new files only."""
    path = tmp_path / "wave.wav"
    path.write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        pcm16.write_pcm16(path, np.zeros(3, np.int16), 8_000)

    assert path.read_bytes() == b"mine"


def test_a_disk_that_takes_no_byte_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that takes nothing raises instead of going round for ever."""
    monkeypatch.setattr(os, "write", lambda *_: 0)

    with pytest.raises(OSError, match="took no byte"):
        pcm16.write_pcm16(tmp_path / "wave.wav", np.zeros(3, np.int16), 8_000)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "2043 bytes on the disk, 2044 expected"),
        (lambda data: data + b"\0", "2045 bytes"),
        (lambda data: data[:24] + b"\x11\x2b" + data[26:], "wrong header"),
        (lambda data: b"", "0 bytes"),
    ],
)
def test_a_damaged_file_does_not_pass(
    damage: Callable[[bytes], bytes], message: str, tmp_path: Path
) -> None:
    """verify refuses a file of a wrong size or with a wrong header."""
    path = tmp_path / "wave.wav"
    pcm16.write_pcm16(path, np.zeros(1_000, np.int16), 8_000)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(PublishError, match=message):
        pcm16.verify(path, 1_000, 8_000)
