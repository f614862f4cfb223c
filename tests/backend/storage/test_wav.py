"""What a finished WAV is like."""

import wave
from pathlib import Path

import numpy as np
import pytest

from backend.storage.wav import CHUNK_SAMPLES, WavInfo, read_wavinfo


def write(path: Path, samples: np.ndarray, *, channels: int = 1, width: int = 2) -> Path:
    """Write a WAV at 8000 Hz."""
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, 8000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def test_figures_are_those_of_the_samples(tmp_path: Path) -> None:
    """A sine of half scale has its peak, its RMS of peak over root two, its length."""
    sine = 16384 * np.sin(2 * np.pi * 40 * np.arange(8000) / 8000)
    path = write(tmp_path / "sine.wav", sine.astype("<i2"))

    info = read_wavinfo(path)

    assert (8000, 8000, 1000) == (info.frames, info.sample_rate, info.duration_ms)
    assert info.peak == pytest.approx(0.5, abs=1e-4)
    assert info.rms == pytest.approx(0.5 / 2**0.5, abs=1e-4)


def test_every_piece_of_a_long_file_counts(tmp_path: Path) -> None:
    """The loudest sample, the most negative one, is found beyond the first piece."""
    samples = np.zeros(CHUNK_SAMPLES + 10, "<i2")
    samples[-1] = -32768

    info = read_wavinfo(write(tmp_path / "long.wav", samples))

    assert (CHUNK_SAMPLES + 10, 1.0) == (info.frames, info.peak)
    assert info.rms == pytest.approx(1 / (CHUNK_SAMPLES + 10) ** 0.5, abs=1e-5)


def test_frames_are_counted_once_for_all_channels(tmp_path: Path) -> None:
    """Two channels of four frames are four frames."""
    path = write(tmp_path / "stereo.wav", np.full(8, 16384, "<i2"), channels=2)

    assert WavInfo(4, 8000, 0.5, 0.5) == read_wavinfo(path)


def test_silence_of_no_length_has_figures(tmp_path: Path) -> None:
    """An empty file is zero long and silent."""
    path = write(tmp_path / "empty.wav", np.zeros(0, "<i2"))

    assert WavInfo(0, 8000, 0.0, 0.0) == read_wavinfo(path)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "no WAV"),
        (b"RIFF", "no WAV"),
        (b"<html>no such file</html>" * 10, "no WAV"),
    ],
)
def test_what_is_no_wav_is_refused(contents: bytes, message: str, tmp_path: Path) -> None:
    """Anything else is a ValueError that names the file."""
    path = tmp_path / "other.wav"
    path.write_bytes(contents)

    with pytest.raises(ValueError, match=f"other.wav is {message}"):
        read_wavinfo(path)


def test_other_widths_are_refused(tmp_path: Path) -> None:
    """Samples of 24 bits are not taken for others."""
    path = write(tmp_path / "wide.wav", np.zeros(12, "u1"), width=3)

    with pytest.raises(ValueError, match="24 bits"):
        read_wavinfo(path)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    """A file that ends before its header says is not half-read."""
    path = write(tmp_path / "torn.wav", np.zeros(100, "<i2"))
    path.write_bytes(path.read_bytes()[:-50])

    with pytest.raises(ValueError, match=r"torn\.wav is .* 200 bytes of samples, 150 are there"):
        read_wavinfo(path)
