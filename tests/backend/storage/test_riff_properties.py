"""Any header: one verdict of all that read WAVs, and the samples of libsndfile and SoX."""

import io
import shutil
import struct
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import SpeechError
from backend.http.peaks import peaks_of
from backend.speech.sound import decode
from backend.storage import riff
from plugins.waves.audio import reader
from plugins.waves.errors import AudioError
from tests.plugins.waves import corpus

SIZES = (0, 2_000_000_000, 0x7FFF_F000, 0x7FFF_FF00, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
"""What programs write before they know the size."""
FORMATS = tuple(riff.SUBTYPES)
TAGS = st.sampled_from([0, 1, 2, 3, 6, 7, 0x11, 0x55, 0xFFFE])
NAMES = st.sampled_from([b"LIST", b"bext", b"id3 ", b"JUNK", b"data", b"fmt ", b"iXML"])


@st.composite
def chunks(draw: st.DrawFn) -> list[bytes]:
    """Draw chunks of others that stand around the samples; with odd sizes and their pads."""
    names = draw(st.lists(NAMES.filter(lambda one: one not in {b"data", b"fmt "}), max_size=3))
    return [corpus.chunk(name, draw(st.binary(max_size=9))) for name in names]


@st.composite
def wholes(draw: st.DrawFn) -> tuple[bytes, int]:
    """Draw a sound file and how many frames it has; its size may not be filled in."""
    tag, bits = draw(st.sampled_from(FORMATS))
    channels = draw(st.integers(1, riff.MAX_CHANNELS))
    rate = draw(st.sampled_from([8_000, 22_050, 44_100, 192_000]))
    frames = draw(st.integers(1, 40))
    n_bytes = frames * channels * bits // 8
    samples = draw(st.binary(min_size=n_bytes, max_size=n_bytes))
    if tag == riff.IEEE_FLOAT:
        y = np.frombuffer(samples, np.uint8)[: frames * channels] / 255
        samples = np.resize(y, frames * channels).astype(f"<f{bits // 8}").tobytes()
    if draw(st.booleans()):
        head = corpus.extensible(bits, bits, tag, channels)
        head = head[:12] + struct.pack("<I", rate) + head[16:]
    else:
        head = corpus.fmt(tag, channels, rate, bits)
    before = draw(chunks())
    size = draw(st.sampled_from([n_bytes, *SIZES]))
    if size == n_bytes:
        after = [b"\0" * (n_bytes % 2), *draw(chunks())]
    elif size == 0 and not any(samples[:4]):
        size, after = n_bytes, []  # zeros could be the name of a chunk
    else:
        after = []
    data = b"data" + struct.pack("<I", size) + samples
    return corpus.riff(head, *before, data, *after), frames


@st.composite
def any_files(draw: st.DrawFn) -> bytes:
    """Draw a file whose header may say anything."""
    words = st.sampled_from([0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 255, 65_535])
    rates = st.sampled_from([0, 1, 7_999, 8_000, 48_000, 192_001, 2**32 - 1])
    head = corpus.fmt(
        draw(TAGS), draw(words), draw(rates), draw(words), draw(words), draw(st.binary(max_size=26))
    )
    sizes = st.sampled_from([*SIZES, 1, 7, 64, 1_999_999_999])
    parts = [head, *draw(chunks())]
    parts += [draw(NAMES) + struct.pack("<I", draw(sizes)) + draw(st.binary(max_size=64))]
    parts += draw(chunks())
    whole = corpus.riff(*draw(st.permutations(parts)))
    return whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole


def header_of(contents: bytes) -> riff.Header | riff.WavError:
    try:
        return riff.read_header(io.BytesIO(contents), len(contents))
    except riff.WavError as error:
        return error


def truth(contents: bytes, header: riff.Header) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Return what libsndfile reads once the size of the samples is filled in."""
    at = header.data_offset
    filled_in = contents[: at - 4] + struct.pack("<I", header.data_size) + contents[at:]
    y, rate = sf.read(io.BytesIO(filled_in), dtype="float32", always_2d=True)
    assert header.rate == rate
    samples: np.ndarray[Any, np.dtype[np.float32]] = y
    return samples


@given(wholes())
def test_a_whole_file_gives_the_samples_of_libsndfile(drawn: tuple[bytes, int]) -> None:
    """Whatever stands around them, in whatever form, and whether their size is known."""
    contents, frames = drawn

    header = header_of(contents)

    assert isinstance(header, riff.Header), header
    y = riff.samples(contents[header.data_offset :][: header.data_size], header)
    assert (frames, header.channels) == y.shape
    np.testing.assert_array_equal(truth(contents, header), y)


@given(st.one_of(any_files(), wholes().map(lambda one: one[0])))
def test_all_that_read_wavs_have_one_verdict(contents: bytes) -> None:
    """Speech of a service, a recording by hand and a picture of one are taken or refused alike."""
    header = header_of(contents)
    with TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        path.write_bytes(contents)
        with path.open("rb") as stream:
            try:
                peaks_of(stream, 4)
                pictured = ""
            except riff.WavError as error:
                pictured = str(error)
        try:
            reader._read_once(path, 600, 2**20, None)
            by_hand = ""
        except AudioError as error:
            by_hand = str(error)
    try:
        decode(contents)
        spoken = ""
    except SpeechError as error:
        spoken = str(error)

    if isinstance(header, riff.WavError):
        assert str(header) == by_hand == pictured
        assert str(header) in spoken or "empty" in spoken
    else:
        assert "" == pictured
        assert not by_hand or "no audio" in by_hand or "finite" in by_hand or "peak" in by_hand
        assert not spoken or "less than a word" in spoken or "not finite" in spoken


@pytest.mark.parametrize("name", corpus.good_files())
def test_sox_reads_the_same(name: str) -> None:
    """A second reader, of other makers, has our samples, or refuses what only libsndfile reads."""
    sox = shutil.which("sox") or pytest.skip("no sox")
    contents, _ = corpus.good_files()[name]
    header = header_of(contents)
    assert isinstance(header, riff.Header)

    made = subprocess.run(
        [sox, "-t", "wav", "-", "-t", "f32", "-"], input=contents, capture_output=True, check=False
    )
    theirs = np.frombuffer(made.stdout[: len(made.stdout) // 4 * 4], "<f4")
    if made.returncode or not len(theirs):
        pytest.skip(made.stderr.decode("utf-8", "replace").strip()[-100:])
    ours = riff.samples(contents[header.data_offset :][: header.data_size], header).ravel()
    np.testing.assert_allclose(theirs, ours[: len(theirs)].clip(-1, 1), atol=2**-15)
