"""Where the channels go: the sound card, or a WAV file of all of them in its place."""

import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, Final

import numpy as np
from filelock import FileLock, Timeout

from backend.errors import ReflectiveResonanceError
from backend.storage import FILE_MODE, NO_LOCKS
from plugins.playback.dishes import Channel
from plugins.playback.mixer import Mixer, Samples
from plugins.playback.settings import PlaybackSettings

FILE_RATE_HZ = 48_000
SILENCE_LIMIT_S = 2.0
"""A card that asks for no samples for so long is gone."""
CLOSE_LIMIT_S = 2.0
HEADER_EVERY_S = 1.0
HEADER_BYTES: Final = 44
MAX_BYTES = 2**32 - 2**20
"""Of samples in a WAV file, whose sizes have 32 bits."""
_WORDS: Final = {
    -9985: "it is gone, or another program holds it: end that one",
    -9996: "there is none, or it is gone: connect one, or set RR_PLAYBACK_DEVICE",
    -9997: "it does not take this rate: set RR_PLAYBACK_RATE=0",
}
"""What PortAudio's codes mean here [portaudio.h, PaErrorCode]."""
NO_CARD = "there is no sound card: connect one, or set RR_PLAYBACK_FILE to a WAV file instead"


class OutputError(ReflectiveResonanceError):
    """Nothing can be played; the message says why, and what to do."""


def sound_devices() -> Any:
    """Return the library `sounddevice`, or raise OutputError."""
    try:
        import sounddevice
    except ImportError as error:
        words = "sounddevice is not installed: uv sync --inexact --extra playback"
        raise OutputError(words) from error
    except OSError as error:
        words = "PortAudio is not installed: on Debian and Ubuntu, apt install libportaudio2"
        raise OutputError(words) from error
    return sounddevice


def find_card(settings: PlaybackSettings, n_channels: int) -> dict[str, Any]:
    """Return what PortAudio knows of the card of the settings, or raise OutputError."""
    sd, device = sound_devices(), settings.device
    sd._terminate()  # PortAudio looks for cards only when it starts
    sd._initialize()
    try:
        wanted = int(device) if device.isdecimal() else device or None
        found: dict[str, Any] = sd.query_devices(wanted, "output")
    except sd.PortAudioError as error:
        no_default = "device -1" in str(error)
        raise OutputError(NO_CARD if no_default else f"RR_PLAYBACK_DEVICE: {error}") from error
    except ValueError as error:  # no such device, or several
        names = ", ".join(one["name"] for one in sd.query_devices()) or "none"
        raise OutputError(f"RR_PLAYBACK_DEVICE: {error}; there are {names}") from error
    if (most := found["max_output_channels"]) < n_channels:
        raise OutputError(
            f"{found['name']} has {most} channels and dishes.toml {n_channels}: "
            "take channels away there, or set RR_PLAYBACK_DEVICE"
        )
    return found


class SoundCard:
    """The sound card of the settings; `mixer_for` returns the mixer for a rate in Hertz."""

    def __init__(
        self, settings: PlaybackSettings, n_channels: int, mixer_for: Callable[[int], Mixer]
    ) -> None:
        sd, found = sound_devices(), find_card(settings, n_channels)
        self.name, most, self.underruns = found["name"], found["max_output_channels"], 0
        self._failed, self._n_channels, self._called_at = "", n_channels, monotonic()
        try:
            self.mixer = mixer_for(settings.rate or round(found["default_samplerate"]))
            stream = partial(
                sd.OutputStream,
                *(self.mixer.rate, self.mixer.block_frames, found["index"]),
                dtype="float32",
                latency=settings.latency_ms / 1000,
                callback=self._call,
            )
            try:
                self._stream = stream(channels=n_channels)
            except sd.PortAudioError:
                if most == n_channels:
                    raise
                self._stream = stream(channels=most)  # some take all or none
            self.latency_s: float = self._stream.latency
            self._stream.start()
        except sd.PortAudioError as error:
            words = _WORDS.get(error.args[1] if len(error.args) > 1 else 0, str(error))
            raise OutputError(f"{self.name}: {words}") from error

    @property
    def problem(self) -> str:
        """Why it plays no longer; empty while it plays."""
        if not self._failed and monotonic() - self._called_at > SILENCE_LIMIT_S:
            return f"{self.name} plays no longer: it was unplugged, or has failed"
        return self._failed

    def _call(self, out: Samples, _: int, __: object, status: Any) -> None:
        self._called_at = monotonic()
        self.underruns += bool(status.output_underflow)
        try:
            out[:, self._n_channels :] = 0
            self.mixer.fill(out[:, : self._n_channels])
        except Exception as error:  # noqa: BLE001 - it would end the stream without a word
            out.fill(0)
            self._failed = f"the mixer failed: {error!r}"

    def close(self) -> None:
        """End at once, without what the card still has; a driver that hangs is left behind."""
        ending = threading.Thread(target=self._stream.close, name="sound card", daemon=True)
        ending.start()
        ending.join(CLOSE_LIMIT_S)


class WavFile:
    """A WAV file of 32-bit floats, written as fast as it would be heard.

    Its header is true to the latest second, so that a crash leaves a file that can be read. An
    earlier file with samples is kept beside it, as `<name>.previous.wav`, or is continued if it
    `continues` one of the same mixer's channels and rate. Nothing is touched where the disk has no
    room for a second, or while another process writes the file.
    """

    latency_s = 0.0
    underruns = 0

    def __init__(self, path: Path, mixer: Mixer, *, continues: bool = False) -> None:
        self.name, self.mixer, self.problem = str(path), mixer, ""
        self._path, self._written, self._closing = path, 0, threading.Event()
        self._frame_bytes = 4 * len(mixer.channels)
        lock = path.with_name(f".{path.name}.lock")
        self._lock = FileLock(lock, mode=FILE_MODE, thread_local=False)
        try:
            self._acquire()
            self._open(continues=continues)
        except OSError as error:
            self._lock.release()
            raise OutputError(f"RR_PLAYBACK_FILE={path}: {error.strerror or error}") from error
        self._thread = threading.Thread(target=self._run, name="playback file", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the file."""
        self._closing.set()
        self._thread.join()

    def _acquire(self) -> None:
        self._path.parent.stat()  # filelock would make the folder
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            words = "another process writes it: end that one, or name another file"
            raise OutputError(f"RR_PLAYBACK_FILE={self._path}: {words}") from None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise

    def _open(self, *, continues: bool) -> None:
        path, room = self._path, self._path.with_suffix(".room.wav")
        try:
            room.write_bytes(bytes(HEADER_BYTES + self.mixer.rate * self._frame_bytes))
        finally:
            room.unlink(missing_ok=True)
        n_bytes = path.stat().st_size - HEADER_BYTES if path.exists() else 0
        if continues and 0 < n_bytes < MAX_BYTES:
            self._written = n_bytes - n_bytes % self._frame_bytes
        elif n_bytes > 0:
            path.replace(path.with_suffix(".previous.wav"))
        self._file = path.open("r+b" if self._written else "wb", buffering=0)
        self._write_header()

    def _run(self) -> None:
        n_frames, n_channels = self.mixer.block_frames, len(self.mixer.channels)
        block = np.zeros((n_frames, n_channels), "<f4")
        due, header_due = perf_counter(), 0.0
        try:
            while not self._closing.is_set() and self._written < MAX_BYTES:
                if due >= header_due:
                    self._write_header()
                    header_due = due + HEADER_EVERY_S
                self.mixer.fill(block)
                self._write(block.data.cast("B"))
                self._written += block.nbytes
                due += n_frames / self.mixer.rate
                sleep(max(0.0, due - perf_counter()))
            if self._written >= MAX_BYTES:
                self.problem = f"{self.name} is full; the next file is begun"
        except OSError as error:
            self.problem = f"RR_PLAYBACK_FILE={self._path}: {error.strerror or error}"
        except Exception as error:  # noqa: BLE001 - as with the card
            self.problem = f"the mixer failed: {error!r}"
        finally:
            with self._file, suppress(OSError):
                self._write_header()
            self._lock.release()

    def _write(self, data: memoryview) -> None:
        while data:  # a disk that becomes full takes a part, and refuses the rest
            data = data[self._file.write(data) :]

    def _write_header(self) -> None:
        rate, frame_bytes = self.mixer.rate, self._frame_bytes
        fmt = (16, 3, frame_bytes // 4, rate, rate * frame_bytes, frame_bytes, 32)  # IEEE float
        header = struct.pack("<4sI4s", b"RIFF", 36 + self._written, b"WAVE")
        header += struct.pack("<4sIHHIIHH4sI", b"fmt ", *fmt, b"data", self._written)
        self._file.seek(0)
        self._write(memoryview(header))
        self._file.seek(HEADER_BYTES + self._written)


Output = SoundCard | WavFile


def open_output(
    settings: PlaybackSettings, channels: Sequence[Channel], *, again: bool = False
) -> Output:
    """Open the file or the card of the settings, with a mixer, or raise OutputError.

    A file is continued where it is opened `again` with the same settings.
    """
    if settings.file:
        mixer = Mixer(channels, settings.rate or FILE_RATE_HZ)
        return WavFile(settings.file, mixer, continues=again)
    return SoundCard(settings, len(channels), partial(Mixer, channels))
