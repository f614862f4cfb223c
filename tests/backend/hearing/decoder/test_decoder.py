"""The decoder, with real child processes and recordings that are encoded here."""

import io
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from structlog.testing import capture_logs

from backend.children import ChildPool
from backend.errors import HearingError, NotAudioError
from backend.hearing.decoder import Decoded, Decoder, child
from backend.hearing.decoder.decoder import COMMAND
from backend.hearing.engine import SAMPLE_RATE
from tests.patience import until
from tests.recordings import CONTAINERS, RATE, encode, tone

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and limits")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """Return a decoder."""
    decoder = Decoder(timeout_s=30)
    yield decoder
    decoder.close()


def dominant_hz(decoded: Decoded) -> float:
    """Return the frequency with the most energy."""
    y = np.frombuffer(decoded.pcm, "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y))))
    return float(np.argmax(spectrum) / decoded.duration_s)


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_decoded(name: str, decoder: Decoder) -> None:
    """What browsers and pages record becomes the same sound, and its container is told."""
    decoded = decoder.decode(encode(tone(1.0), name))

    assert CONTAINERS[name][2] == decoded.mime_type
    assert 1.0 == pytest.approx(decoded.duration_s, abs=0.08)  # some add what fills a frame
    assert 220 == pytest.approx(dominant_hz(decoded), abs=3)
    assert 0.3 * 32_767 == pytest.approx(np.frombuffer(decoded.pcm, "<i2").max(), rel=0.1)


def test_other_rates_and_stereo_become_one(decoder: Decoder) -> None:
    """A page that records PCM sends its card's rate, and some record two channels."""
    out = io.BytesIO()
    with av.open(out, "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=44_100, layout="stereo")
        y = np.round(tone(1.0) * 32_767).astype("<i2")
        frame = av.AudioFrame.from_ndarray(np.repeat(y, 2)[None, :], "s16", "stereo")
        frame.sample_rate = 44_100
        container.mux(stream.encode(frame))

    decoded = decoder.decode(out.getvalue())

    assert RATE / 44_100 == pytest.approx(decoded.duration_s, abs=0.02)
    assert 220 * 44_100 / RATE == pytest.approx(dominant_hz(decoded), abs=3)


@pytest.mark.parametrize("name", ["webm", "ogg", "wav", "mp3", "flac", "fragmented mp4"])
def test_what_is_there_of_a_truncated_recording_is_decoded(name: str, decoder: Decoder) -> None:
    """A recording whose end is missing, as after a broken connection, is no failure."""
    whole = encode(tone(2.0), name)

    decoded = decoder.decode(whole[: len(whole) // 2])

    assert 0.3 < decoded.duration_s < 1.5


def _video(audio: bool) -> bytes:
    """Return a clip, with or without sound."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as container:
        pictures = container.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono") if audio else None
        for _ in range(25):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
            container.mux(pictures.encode(picture))
        container.mux(pictures.encode(None))
        if sound is not None:
            y = np.round(tone(1.0) * 32_767).astype("<i2")[None, :]
            frame = av.AudioFrame.from_ndarray(y, "s16", "mono")
            frame.sample_rate = RATE
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
    return out.getvalue()


def test_the_sound_of_a_video_is_decoded(decoder: Decoder) -> None:
    """Pictures are not looked at."""
    decoded = decoder.decode(_video(audio=True))

    assert 1.0 == pytest.approx(decoded.duration_s, abs=0.05)


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n"
CONCAT = b"ffconcat version 1.0\nfile /etc/hostname\n"
RANDOM = np.random.default_rng(14).bytes(40_000)
BAD = {
    "empty": b"",
    "one byte": b"\xff",
    "text": b"Hello water, " * 500,
    "random": RANDOM,
    "playlist": PLAYLIST,
    "concat": CONCAT,
    "picture": b"\x89PNG\r\n\x1a\n" + RANDOM,
    "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nwater\n",
    "html": b"<!doctype html><html></html>",
    "zip": b"PK\x03\x04" + RANDOM,
    "webm of noise": b"\x1aE\xdf\xa3" + RANDOM,
    "mp4 of noise": b"\0\0\0\x20ftypisom" + RANDOM,
    "ogg of noise": b"OggS" + RANDOM,
    "flac of noise": b"fLaC" + RANDOM,
    "wav of noise": b"RIFF\xff\xff\xff\xffWAVE" + RANDOM,
    "wav without samples": encode(tone(0.001), "wav")[:44],
    "mp3 that is text": b"ID3" + b"the water " * 400,
    "playlist behind a tag": b"ID3\x04\0\0\0\0\0\0" + PLAYLIST,
    "video without sound": _video(audio=False),
    "playlist in the clothes of a wav": b"RIFF\0\0\0\0WAVE" + PLAYLIST,
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_recording_is_refused(name: str, decoder: Decoder) -> None:
    """The message says what to send, and holds nothing of the file."""
    with pytest.raises(NotAudioError, match="Send webm, mp4, m4a, ogg, wav, mp3 or flac"):
        decoder.decode(BAD[name])


def test_a_truncated_mp4_without_its_index_is_refused(decoder: Decoder) -> None:
    """The index of an ordinary MP4 stands at its end: without it nothing can be found."""
    whole = encode(tone(2.0), "mp4")

    with pytest.raises(NotAudioError):
        decoder.decode(whole[: len(whole) // 2])


@pytest.fixture(scope="module")
def long_silence() -> bytes:
    """Return ten minutes in few bytes."""
    return encode(np.zeros(600 * 8_000), "flac", rate=8_000)


def test_decoding_ends_soon_after_the_limit(
    long_silence: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten minutes of silence in some kB are read for a minute and no further."""
    opened = []

    class Recorded(io.BytesIO):
        def __init__(self, data: bytes) -> None:
            super().__init__(data)
            self.n_read = 0
            opened.append(self)

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.n_read += len(data)
            return data

    monkeypatch.setattr(io, "BytesIO", Recorded)
    assert len(long_silence) < 200_000

    pcm = child.decode(long_silence, "flac", SAMPLE_RATE, 61 * 2 * SAMPLE_RATE)

    assert 61 == len(pcm) / 2 / SAMPLE_RATE
    assert 0 < opened[0].n_read < 1.2 * len(long_silence) / 2, len(long_silence)


@pytest.mark.sweep
@pytest.mark.parametrize("name", CONTAINERS)
def test_damaged_recordings_are_decoded_or_refused(name: str, decoder: Decoder) -> None:
    """Bytes that were changed, left out or put twice end no child in a way of their own."""
    whole = encode(tone(1.0), name)
    random = np.random.default_rng(14)

    for _ in range(25):
        damaged = bytearray(whole)
        for at in random.integers(0, len(whole), 1 + random.integers(0, 40)):
            damaged[at] = random.integers(0, 256)
        start, length = random.integers(0, len(whole)), random.integers(0, 2_000)
        if random.random() < 0.5:
            del damaged[start : start + length]
        else:
            damaged[start:start] = damaged[start : start + length]
        with capture_logs() as logs, suppress(NotAudioError):
            assert decoder.decode(bytes(damaged)).duration_s <= 61
        assert not [log for log in logs if log["log_level"] == "warning"]


def _crashing(tmp_path: Path, code: str) -> Decoder:
    """Return a decoder whose child runs `code` for a recording that starts with "crash"."""
    child = tmp_path / "child.py"
    source = Path(COMMAND[-1]).read_text()
    child.write_text(
        source.replace("        demuxer, mime", f"        {code}\n        demuxer, mime")
    )
    assert code in child.read_text()
    return Decoder((*COMMAND[:-1], str(child)), timeout_s=2)


@posix
@pytest.mark.parametrize(
    "code",
    [
        "if data[:5] == b'crash': import os; os.kill(os.getpid(), 11)",
        "if data[:5] == b'crash': import os; os._exit(0)",
        pytest.param("if data[:5] == b'crash': import time; time.sleep(60)", marks=pytest.mark.e2e),
        "if data[:5] == b'crash': bytearray(4_000_000_000)",
    ],
    ids=["SIGSEGV", "exit", "hang", "memory"],
)
def test_a_recording_that_ends_the_decoder_is_no_audio(tmp_path: Path, code: str) -> None:
    """It is refused as any other; the next recording is decoded."""
    decoder = _crashing(tmp_path, code)
    try:
        with pytest.raises(NotAudioError):
            decoder.decode(b"crash" * 1_000)
        decoded = decoder.decode(encode(tone(0.5), "webm"))
    finally:
        decoder.close()

    assert 0.5 == pytest.approx(decoded.duration_s, abs=0.05)


def test_every_recording_has_its_own_child_and_the_next_one_waits(decoder: Decoder) -> None:
    """What one recording leaves behind in its process is gone with it."""
    recording = encode(tone(0.5), "wav")
    decoder.decode(recording)
    (first,) = decoder._children._idle
    decoder.decode(recording)
    (second,) = decoder._children._idle

    assert first.pid != second.pid
    until(lambda: not psutil.pid_exists(first.pid), "the child has ended")


def test_a_closed_decoder_is_not_the_fault_of_the_recording() -> None:
    """After the close a recording fails, and is not called bad."""
    decoder = Decoder()
    decoder.close()

    with pytest.raises(HearingError, match="stopped") as caught:
        decoder.decode(encode(tone(0.5), "wav"))

    assert HearingError is caught.type


@posix
def test_the_child_has_limits(tmp_path: Path) -> None:
    """It may take little memory, and may write no file."""
    code = (
        "import json, resource; "
        "names = ('RLIMIT_AS', 'RLIMIT_FSIZE', 'RLIMIT_CPU'); "
        "limits = [resource.getrlimit(getattr(resource, name))[0] for name in names]; "
        "return {'limits': limits}, b''"
    )
    child = tmp_path / "child.py"
    source = Path(COMMAND[-1]).read_text()
    child.write_text(
        source.replace("        demuxer, mime", f"        {code}\n        demuxer, mime")
    )
    pool = ChildPool(
        "the decoder", (*COMMAND[:-1], str(child)), timeout_s=30, max_requests=1, reuse=False
    )
    header: dict[str, Any]
    header, _ = pool.ask({})
    pool.close()

    memory_bytes, file_bytes, cpu_s = header["limits"]
    if sys.platform == "linux":
        assert 512 * 2**20 == memory_bytes
    assert (0, 10) == (file_bytes, cpu_s), json.dumps(header)
