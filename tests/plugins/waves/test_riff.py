"""The header reader: what is refused, why, and what a good header says."""

import io
import struct

import pytest

from plugins.waves import riff
from plugins.waves.errors import AudioError
from tests.plugins.waves import corpus

HEADER_REASONS = {"too_long", "not_finite", "out_of_range"}
BAD = {bad.name: bad for bad in corpus.bad_files()}


def read_header(contents: bytes) -> riff.Header:
    return riff.read_header(io.BytesIO(contents), len(contents))


def test_header_of_a_plain_file() -> None:
    """The header of a plain file is read field by field."""
    header = read_header(corpus.valid())

    assert header == riff.Header(22_050, 1, "PCM_16", 2_000, 44, 4_000, ())
    assert header.duration_s == 2_000 / 22_050


@pytest.mark.parametrize("name", [n for n, b in BAD.items() if b.reason not in HEADER_REASONS])
def test_bad_header_is_refused(name: str) -> None:
    """A header V3 must not be given is refused with a reason and the value that is wrong."""
    bad = BAD[name]

    with pytest.raises(AudioError) as caught:
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
        with pytest.raises(AudioError, match="7999 Hz"):
            read_header(contents)


def test_chunk_limit_is_inclusive() -> None:
    """A file may have 999 chunks before its samples' chunk."""
    junk = [corpus.chunk(b"junk", b"")] * (riff.MAX_CHUNKS - 2)
    data = corpus.chunk(b"data", corpus.pcm16())

    assert read_header(corpus.riff(corpus.fmt(), *junk, data)).frames == 2_000
    with pytest.raises(AudioError, match="1000 chunks"):
        read_header(corpus.riff(corpus.fmt(), corpus.chunk(b"junk", b""), *junk, data))


def test_a_size_that_was_never_filled_in_means_the_bytes_present() -> None:
    """A data size of 0 before samples is a streamed file, before further chunks an empty one."""
    head = corpus.fmt() + b"data" + struct.pack("<I", 0)

    streamed = read_header(corpus.riff(head, corpus.pcm16()))

    assert (streamed.frames, streamed.data_size) == (2_000, 4_000)
    assert "streamed" in streamed.warnings[0]
    with pytest.raises(AudioError, match="0 bytes of samples"):
        read_header(
            corpus.riff(head, corpus.chunk(b"LIST", b"INFO"), corpus.chunk(b"id3 ", b"abc"))
        )


def test_pcm16_header_is_read_back() -> None:
    """The header we write is one we read."""
    contents = riff.pcm16_header(3, 8_000) + bytes(6)

    assert read_header(contents) == riff.Header(8_000, 1, "PCM_16", 3, 44, 6, ())
    assert len(contents) == riff.PCM16_HEADER_BYTES + 6
