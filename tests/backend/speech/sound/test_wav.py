"""Writing of WAVs."""

import errno
import os
import wave
from pathlib import Path

import pytest

from backend.errors import SpeechError
from backend.speech.sound.wav import write_wav

PCM = b"\x01\x02" * 2_205


def test_samples_are_kept(tmp_path: Path) -> None:
    """The file is mono, 16-bit, of the rate given, and holds the samples given."""
    path = tmp_path / "a" / "b.wav"

    spoken = write_wav(path, PCM, 22_050, tmp_path / ".tmp")

    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (1, 2, 22_050)
        assert file.readframes(10_000) == PCM
    assert (spoken.duration_s, spoken.sample_rate) == (0.1, 22_050)


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    """Who has the old file open keeps it whole, and the name leads to the new one."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")

    with path.open("rb") as reader:
        write_wav(path, PCM, 22_050, tmp_path / ".tmp")
        assert reader.read() == b"old"

    assert path.stat().st_size == 44 + len(PCM)
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing write is a SpeechError with the system's reason; nothing is left behind."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(SpeechError, match=r"a\.wav.*No space left"):
        write_wav(path, PCM, 22_050, tmp_path / ".tmp")

    assert path.read_bytes() == b"old"
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_a_directory_in_the_way(tmp_path: Path) -> None:
    """A target that cannot be replaced is a SpeechError; nothing is left behind."""
    (tmp_path / "a.wav" / "child").mkdir(parents=True)

    with pytest.raises(SpeechError, match=r"a\.wav could not be written"):
        write_wav(tmp_path / "a.wav", PCM, 22_050, tmp_path / ".tmp")

    assert list((tmp_path / ".tmp").iterdir()) == []
