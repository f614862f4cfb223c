"""Where the channels go: a WAV file, or a sound card, here one of ALSA's without hardware."""

import errno
import os
import subprocess
import sys
import threading
from io import BufferedWriter, FileIO
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile

from plugins.playback import output
from plugins.playback.dishes import Channel
from plugins.playback.mixer import Mixer, Track
from plugins.playback.output import OutputError, SoundCard, WavFile
from plugins.playback.settings import PlaybackSettings
from tests.patience import until

RATE = 48_000
CHANNELS = tuple(Channel(str(number), cap_db=0) for number in range(18))


def mixer(n: int, rate: int = RATE) -> Mixer:
    return Mixer(CHANNELS[:n], rate)


def test_a_file_has_every_channel_sample_by_sample(tmp_path: Path) -> None:
    """As long as it would have been heard, in the mixer's rate."""
    path, mixed = tmp_path / "all.wav", mixer(18)
    y = np.random.default_rng(1).uniform(-0.1, 0.1, 4800)
    group = mixed.play([Track(y, ((0, 1.0),)), Track(y, ((17, -1.0),))], 2400)
    file = WavFile(path, mixed)
    until(lambda: mixed.position > group.end + RATE // 4, "it is played")
    assert "" == file.problem
    file.close()

    out, rate = soundfile.read(path)
    assert (RATE, 18, mixed.position) == (rate, out.shape[1], out.shape[0])
    assert 2401 == np.flatnonzero(out[:, 0])[0]
    np.testing.assert_array_equal(out[:, 0], -out[:, 17])
    assert 0 == np.abs(out[:, 1:17]).max()


def test_an_earlier_file_is_kept_beside_it(tmp_path: Path) -> None:
    """A server that was started again after a crash does not take what was written before."""
    path = tmp_path / "all.wav"
    for n in (1, 2):
        mixed = mixer(n)
        file = WavFile(path, mixed)
        until(lambda mixed=mixed: mixed.position > 0, "it is written")  # type: ignore[misc]
        file.close()

    channels = [soundfile.info(one).channels for one in (path, tmp_path / "all.previous.wav")]
    assert [2, 1] == channels


CRASH = """
import os, sys, time
from pathlib import Path
from plugins.playback.dishes import Channel
from plugins.playback.mixer import Mixer
from plugins.playback.output import WavFile
mixer = Mixer((Channel("a"),), 48_000)
file = WavFile(Path(sys.argv[1]), mixer)
while mixer.position < 72_000:
    time.sleep(0.01)
os._exit(1)
"""


def test_a_crash_leaves_a_file_that_can_be_read(tmp_path: Path, project_root: Path) -> None:
    """But for its last second."""
    path = tmp_path / "all.wav"
    command = [sys.executable, "-c", CRASH, str(path)]
    done = subprocess.run(command, cwd=project_root, check=False)

    assert 1 == done.returncode
    assert soundfile.info(path).frames >= RATE // 2
    assert soundfile.info(path).frames * 4 <= path.stat().st_size - output.HEADER_BYTES


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return a disk that has no room for more than `left` bytes in one file."""
    left = {"left": inf}

    class Full(FileIO):
        def write(self, data: Any) -> int:
            room = left["left"] - self.tell()
            if len(data) and room <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(memoryview(data)[: int(min(room, len(data)))])

    def open_file(path: Path, mode: str = "r", buffering: int = -1, **rest: Any) -> Any:
        if "b" not in mode or ("+" not in mode and "w" not in mode):
            return opened(path, mode, buffering, **rest)
        raw = Full(path, mode)
        return BufferedWriter(raw) if buffering else raw

    opened = Path.open
    monkeypatch.setattr(Path, "open", open_file)
    return left


def test_a_full_disk_is_said_and_takes_nothing_away(tmp_path: Path, disk: dict[str, float]) -> None:
    """Opened again it is refused while there is no room, and goes on where there is again."""
    path, previous = tmp_path / "all.wav", tmp_path / "all.previous.wav"
    soundfile.write(path, np.full(RATE, 0.25), RATE)
    disk["left"] = 300_001  # bytes, within a sample
    mixed = mixer(1)
    mixed.play([Track(np.full(9600, 0.5), ((0, 1.0),))])
    file = WavFile(path, mixed)
    until(lambda: bool(file.problem), "it is full")
    file.close()

    assert f"RR_PLAYBACK_FILE={path}: {os.strerror(errno.ENOSPC)}" == file.problem
    whole = soundfile.info(path).frames
    assert 4 * whole == int.from_bytes(path.read_bytes()[40:44], "little")  # as its header says
    assert 300_000 - 44 - 1920 <= 4 * whole <= 300_000 - 44
    disk["left"] = 100_000
    for again in (True, True, False):  # the last is a new start of the server
        with pytest.raises(OutputError, match=os.strerror(errno.ENOSPC)):
            WavFile(path, mixer(1), continues=again)
    assert [RATE, whole] == [soundfile.info(one).frames for one in (previous, path)]
    disk["left"] = inf
    file = WavFile(path, mixed := mixer(1), continues=True)
    until(lambda: mixed.position > 0, "it goes on")
    file.close()
    y, _ = soundfile.read(path)
    assert RATE == soundfile.info(previous).frames
    assert 0 <= y.size - whole - mixed.position < mixed.block_frames  # a part of the last one
    assert y[:9600].max() > 0.2
    names = sorted(one.name for one in tmp_path.iterdir())
    assert [".all.wav.lock", "all.previous.wav", "all.wav"] == names


def test_a_file_without_samples_takes_the_place_of_none(tmp_path: Path) -> None:
    """Such as one of a version that left one on a full disk."""
    path, previous = tmp_path / "all.wav", tmp_path / "all.previous.wav"
    soundfile.write(previous, np.zeros(RATE), RATE)
    path.touch()
    WavFile(path, mixer(1)).close()

    assert RATE == soundfile.info(previous).frames


def test_a_file_that_another_process_writes_is_refused(tmp_path: Path, project_root: Path) -> None:
    """And untouched; once that one has ended, however it did, the file is free."""
    path = tmp_path / "all.wav"
    command = [sys.executable, "-c", CRASH.replace("72_000", "10**9"), str(path)]
    with subprocess.Popen(command, cwd=project_root) as other:
        try:
            written = lambda: path.exists() and path.stat().st_size > output.HEADER_BYTES  # noqa: E731
            until(written, "it is written")
            with pytest.raises(OutputError, match=r"all.wav: another process writes it: end that"):
                WavFile(path, mixer(1))
        finally:
            other.kill()

    assert not path.with_suffix(".previous.wav").exists()
    WavFile(path, mixer(1)).close()
    assert path.with_suffix(".previous.wav").exists()


def test_a_file_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"RR_PLAYBACK_FILE=.*no.wav: No such file"):
        WavFile(tmp_path / "none" / "no.wav", mixer(1))


def test_a_full_file_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is whole."""
    monkeypatch.setattr(output, "MAX_BYTES", 10_000)
    file = WavFile(tmp_path / "all.wav", mixer(1))
    until(lambda: bool(file.problem), "it is full")
    file.close()

    assert "all.wav is full" in file.problem
    assert 9_600 <= 4 * soundfile.info(tmp_path / "all.wav").frames <= 12_000


def test_the_mixer_that_fails_ends_the_output_with_a_word(tmp_path: Path) -> None:
    """A wrong gain is found in the thread of the output."""
    mixed = mixer(1)
    file = WavFile(tmp_path / "all.wav", mixed)
    mixed.play([Track(np.zeros(9600), ((5, 1.0),))])
    until(lambda: bool(file.problem), "it fails")
    file.close()

    assert "the mixer failed: IndexError" in file.problem


@pytest.mark.parametrize(
    ("error", "words"),
    [(ImportError, "--extra playback"), (OSError, "apt install libportaudio2")],
)
def test_what_is_not_installed_is_named(
    error: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is missing, or the library that it loads."""

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name == "sounddevice":
                raise error("missing")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])

    with pytest.raises(OutputError, match=words):
        SoundCard(PlaybackSettings(), 6, lambda rate: mixer(6, rate))


class PortAudioError(Exception):
    """As that of sounddevice: a text and a code."""

    def __str__(self) -> str:
        return str(self.args[0])


class SoundDevices:
    """The module `sounddevice` with one card, whose stream can be refused."""

    PortAudioError = PortAudioError

    def __init__(self, channels: int, *faults: Exception) -> None:
        self._channels, self._faults = channels, list(faults)
        self.opened: list[int] = []

    def _terminate(self) -> None:
        self.opened = []

    _initialize = _terminate

    def query_devices(self, *wanted: object) -> Any:
        card = {"name": "Scarlett", "index": 0, "default_samplerate": 44_100.0}
        card["max_output_channels"] = self._channels
        return card if wanted else [card]

    def OutputStream(self, *_: object, channels: int, callback: Any, **__: object) -> Any:  # noqa: N802
        self.opened.append(channels)
        if self._faults:
            raise self._faults.pop(0)
        self.call = callback
        return SimpleNamespace(latency=0.02, start=lambda: None, close=lambda: None)


def card(devices: SoundDevices, monkeypatch: pytest.MonkeyPatch) -> SoundCard:
    """Open six channels of a card."""
    monkeypatch.setattr(output, "sound_devices", lambda: devices)
    return SoundCard(PlaybackSettings(), 6, lambda rate: mixer(6, rate))


@pytest.mark.parametrize(
    ("channels", "code", "words"),
    [
        (2, 0, "Scarlett has 2 channels and dishes.toml 6: take channels away"),
        (6, -9985, "Scarlett: it is gone, or another program holds it: end that one"),
        (6, -9997, "Scarlett: it does not take this rate: set RR_PLAYBACK_RATE=0"),
        (6, -9999, "Scarlett: something else"),
    ],
)
def test_a_card_that_cannot_be_used_is_said_in_words(
    channels: int, code: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What to do, where that is known; else PortAudio's own words."""
    devices = SoundDevices(channels, PortAudioError("something else", code))

    with pytest.raises(OutputError, match=words):
        card(devices, monkeypatch)


def test_where_there_is_no_card_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """PortAudio names the default one -1 then."""
    devices = SoundDevices(0)
    asked = Mock(side_effect=PortAudioError("Error querying device -1"))
    monkeypatch.setattr(devices, "query_devices", asked)

    with pytest.raises(OutputError, match=r"^there is no sound card: connect one, or set RR_"):
        card(devices, monkeypatch)


def test_a_card_that_takes_all_channels_or_none_gets_silence_in_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many interfaces do so where nothing converts for them."""
    devices = SoundDevices(8, PortAudioError("Invalid number of channels", -9998))
    opened = card(devices, monkeypatch)
    out = np.full((480, 8), np.nan, np.float32)
    devices.call(out, 480, None, SimpleNamespace(output_underflow=True))

    assert [6, 8] == devices.opened
    assert 0 == np.abs(out).max()
    assert (44_100, 1, "") == (opened.mixer.rate, opened.underruns, opened.problem)


def test_a_mixer_that_fails_in_the_callback_is_silence_and_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What it raised would end the stream without one."""
    devices = SoundDevices(6)
    opened = card(devices, monkeypatch)
    opened.mixer.play([Track(np.ones(9600), ((9, 1.0),))])
    out = np.full((480, 6), np.nan, np.float32)
    devices.call(out, 480, None, SimpleNamespace(output_underflow=False))

    assert 0 == np.abs(out).max()
    assert "the mixer failed: IndexError" in opened.problem


def test_a_card_that_asks_for_nothing_any_more_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that hangs as it is closed is left behind."""
    devices = SoundDevices(6)
    opened = card(devices, monkeypatch)
    monkeypatch.setattr(output, "SILENCE_LIMIT_S", 0.0)
    monkeypatch.setattr(output, "CLOSE_LIMIT_S", 0.1)
    released = threading.Event()
    opened._stream.close = released.wait
    opened.close()
    released.set()

    assert "Scarlett plays no longer: it was unplugged, or has failed" == opened.problem
