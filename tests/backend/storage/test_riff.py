"""The header reader: what is refused, why, and what a good header says."""

import io
import struct

import pytest

from backend.storage import riff
from tests.plugins.waves import corpus

NOT_OF_THE_HEADER = {"too_long", "not_finite", "out_of_range", "empty"}
BAD = {bad.name: bad for bad in corpus.bad_files()}


def read_header(contents: bytes) -> riff.Header:
    return riff.read_header(io.BytesIO(contents), len(contents))


def test_header_of_a_plain_file() -> None:
    """The header of a plain file is read field by field."""
    header = read_header(corpus.valid())

    assert header == riff.Header(22_050, 1, "PCM_16", 2_000, 44, 4_000, ())
    assert header.duration_s == 2_000 / 22_050


@pytest.mark.parametrize("name", [n for n, b in BAD.items() if b.reason not in NOT_OF_THE_HEADER])
def test_bad_header_is_refused(name: str) -> None:
    """A header V3 must not be given is refused with a reason and the value that is wrong."""
    bad = BAD[name]

    with pytest.raises(riff.WavError) as caught:
        read_header(bad.contents)

    assert caught.value.reason == bad.reason
    assert bad.value in str(caught.value)


@pytest.mark.parametrize(("rate", "accepted"), [(7_999, False), (8_000, True), (192_000, True)])
def test_rate_limits_are_inclusive(rate: int, accepted: bool) -> None:
    """8,000 and 192,000 Hz are read, one Hertz beyond is not."""
    contents = corpus.riff(corpus.fmt(rate=rate), corpus.chunk(b"data", corpus.pcm16()))

    if accepted:
        assert read_header(contents).rate == rate
    else:
        with pytest.raises(riff.WavError, match="7999 Hz"):
            read_header(contents)


def test_chunk_limit_is_inclusive() -> None:
    """A file may have 999 chunks before its samples' chunk."""
    junk = [corpus.chunk(b"junk", b"")] * (riff.MAX_CHUNKS - 2)
    data = corpus.chunk(b"data", corpus.pcm16())

    assert read_header(corpus.riff(corpus.fmt(), *junk, data)).frames == 2_000
    with pytest.raises(riff.WavError, match="1000 chunks"):
        read_header(corpus.riff(corpus.fmt(), corpus.chunk(b"junk", b""), *junk, data))


def test_a_size_that_was_never_filled_in_means_the_bytes_present() -> None:
    """A data size of 0 before samples is a streamed file, before further chunks an empty one."""
    head = corpus.fmt() + b"data" + struct.pack("<I", 0)

    streamed = read_header(corpus.riff(head, corpus.pcm16()))

    assert (streamed.frames, streamed.data_size) == (2_000, 4_000)
    assert "streamed" in streamed.warnings[0]
    chunks = (corpus.chunk(b"LIST", b"INFO"), corpus.chunk(b"id3 ", b"abc"))
    assert read_header(corpus.riff(head, *chunks)).frames == 0


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(2_000_000_000, id="Pocket TTS"),
        pytest.param(0x7FFF_F000, id="SoX and espeak-ng"),
        pytest.param(0x7FFF_F000 - 0x7FFF_F000 % 6, id="SoX, whole frames of 6 bytes"),
        pytest.param(0x7FFF_FF00, id="arecord"),
        pytest.param(0x7FFF_FFFF, id="ElevenLabs"),
        pytest.param(0x8000_0000, id="one more"),
        pytest.param(0xFFFF_FFFF - 36, id="without the header"),
        pytest.param(0xFFFF_FFFF, id="ffmpeg, OpenAI and Kokoro"),
    ],
)
def test_a_size_that_no_recording_has_means_the_bytes_present(size: int) -> None:
    """Every length that a program writes before it knows the true one is that of a stream."""
    contents = corpus.riff(corpus.fmt(), b"data", struct.pack("<I", size), corpus.pcm16())

    header = read_header(contents)

    assert (header.frames, header.data_size) == (2_000, 4_000)
    assert f"streamed header (data size {size})" in header.warnings[0]


def test_a_size_that_a_recording_may_have_is_believed() -> None:
    """Just below the lengths of streams a file is truncated."""
    size = struct.pack("<I", riff.STREAMED_FROM - 1)

    with pytest.raises(riff.WavError, match="declares 1999999999 bytes of samples, 4000 are"):
        read_header(corpus.riff(corpus.fmt(), b"data", size, corpus.pcm16()))


def test_pcm16_header_is_read_back() -> None:
    """The header we write is one we read."""
    contents = riff.pcm16_header(3, 8_000) + bytes(6)

    assert read_header(contents) == riff.Header(8_000, 1, "PCM_16", 3, 44, 6, ())
    assert len(contents) == riff.PCM16_HEADER_BYTES + 6
