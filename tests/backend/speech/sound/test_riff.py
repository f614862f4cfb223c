"""Reading the speech a service sent: every header it may have, and every lie in it."""

import struct

import numpy as np
import pytest

from backend.errors import SpeechError
from backend.speech.sound import Samples, TruncatedError, decode
from tests.backend.speech.sounds import STREAMED, pcm16, pcm24, riff, syllables

RATE = 24_000
Y = syllables(RATE, duration_s=0.5)
LIST = b"LIST" + struct.pack("<I", 3) + b"abc\0"


def encoded(bits: int, coding: int) -> bytes:
    """Return `Y` in one of the codings of a WAV."""
    if coding == 3:
        return Y.astype(f"<f{bits // 8}").tobytes()
    if bits == 8:
        return np.rint(Y * 127 + 128).astype(np.uint8).tobytes()
    if bits == 24:
        return pcm24(Y)
    data: bytes = np.rint(Y * (2 ** (bits - 1) - 1)).astype(f"<i{bits // 8}").tobytes()
    return data


@pytest.mark.parametrize(("bits", "coding"), [(8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3)])
@pytest.mark.parametrize("sample_rate", [8_000, 44_100, 96_000])
def test_every_coding_is_read(bits: int, coding: int, sample_rate: int) -> None:
    """Samples and rate are those of the data, whatever their width."""
    y, rate = decode(riff(encoded(bits, coding), sample_rate, bits=bits, coding=coding))

    assert (sample_rate, len(Y)) == (rate, len(y))
    np.testing.assert_allclose(y, Y, atol=2 ** (1 - min(bits, 16)))


@pytest.mark.parametrize("channels", [2, 8])
def test_channels_are_averaged(channels: int) -> None:
    """Several channels become one, their mean."""
    spread = np.linspace(0, 1, channels, dtype=np.float32)
    frames: Samples = (Y[:, None] * spread).astype(np.float32)

    y, _ = decode(riff(pcm16(frames.ravel()), RATE, channels=channels))

    np.testing.assert_allclose(y, Y / 2, atol=1e-3)


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 2_000_000_000, STREAMED])
def test_the_length_of_a_stream_is_what_is_there(size: int) -> None:
    """A length nobody could know yet is not believed: the bytes that are there are taken."""
    y, _ = decode(riff(pcm16(Y), RATE, data_size=size))

    np.testing.assert_allclose(y, Y, atol=1e-4)


def test_other_chunks_are_no_speech() -> None:
    """Chunks before and after the data, and its padding, are no samples."""
    y, _ = decode(riff(pcm16(Y), RATE, before=LIST, after=LIST))

    assert len(Y) == len(y)


def test_an_extensible_format_is_read() -> None:
    """The long form of the format chunk says its coding further back."""
    layout = struct.pack("<HHIIHHHHI", 0xFFFE, 1, RATE, 4 * RATE, 4, 32, 22, 32, 4)
    layout += struct.pack("<H", 3) + bytes.fromhex("000000001000800000aa00389b71")
    data = encoded(32, 3)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    chunks += b"data" + struct.pack("<I", len(data)) + data

    y, _ = decode(b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks)

    np.testing.assert_allclose(y, Y, atol=1e-6)


def test_raw_samples_have_the_rate_that_was_asked_for() -> None:
    """PCM without a header is read where it was asked for, and a WAV in its place as what it is."""
    raw, raw_rate = decode(pcm16(Y), raw_rate=22_050)
    _, wav_rate = decode(riff(pcm16(Y), RATE), raw_rate=22_050)

    np.testing.assert_allclose(raw, Y, atol=1e-4)
    assert (22_050, RATE) == (raw_rate, wav_rate)


TRUNCATED = {
    "empty": b"",
    "one byte": b"R",
    "header only": riff(b"", RATE),
    "no data": riff(pcm16(Y), RATE)[:36],
    "half": riff(pcm16(Y), RATE)[: len(Y)],
    "one sample short": riff(pcm16(Y), RATE)[:-2],
    "a streamed header alone": riff(b"", RATE, data_size=STREAMED),
}
WRONG = {
    "HTML": b"<!doctype html><title>water</title>",
    "JSON": b' {"detail": "water"}',
    "MP3": b"ID3\x04" + bytes(100),
    "not a WAVE": b"RIFF\x04\0\0\0AVI " + bytes(100),
    "RIFX": b"RIFX" + riff(pcm16(Y), RATE)[4:],
    "AIFF": b"FORM\0\0\1\0AIFF" + bytes(100),
    "24 bits in 4 bytes": riff(Y.astype("<f4").tobytes(), RATE, bits=24, block_align=4),
    "12 bits": riff(pcm16(Y), RATE, bits=12),
    "1 Hz": riff(pcm16(Y), 1),
    "4 GHz": riff(pcm16(Y), 2**32 // 4),
    "no channel": riff(pcm16(Y), RATE, channels=0),
    "9 channels": riff(pcm16(Y), RATE, channels=9),
    "not finite": riff(np.full(9_000, np.nan, "<f4").tobytes(), RATE, coding=3, bits=32),
    "data first": b"RIFF\xff\0\0\0WAVEdata\x04\0\0\0" + bytes(100),
}


@pytest.mark.parametrize("raw_rate", [None, 22_050])
@pytest.mark.parametrize("name", TRUNCATED)
def test_what_ends_early_is_told_apart(name: str, raw_rate: int | None) -> None:
    """Too little is an error of its own, since asking again may help."""
    with pytest.raises(TruncatedError if raw_rate or name != "one byte" else SpeechError):
        decode(TRUNCATED[name], raw_rate=raw_rate)


@pytest.mark.parametrize("raw_rate", [None, 22_050])
@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_speech_is_refused(name: str, raw_rate: int | None) -> None:
    """Anything else is refused, and the message holds nothing of what was sent."""
    with pytest.raises(SpeechError) as caught:
        decode(WRONG[name], raw_rate=raw_rate)

    assert not isinstance(caught.value, TruncatedError)
    assert "water" not in str(caught.value)


def test_a_cut_within_a_sample_is_seen() -> None:
    """Raw PCM with half a sample at its end was cut."""
    with pytest.raises(TruncatedError, match="within a sample"):
        decode(pcm16(Y)[:-1], raw_rate=RATE)


def verdict(body: bytes) -> str:
    """Return what becomes of `body`, having checked that read samples are sound."""
    try:
        y, rate = decode(body)
    except SpeechError as error:
        return str(error)
    assert np.isfinite(y).all()
    return f"{len(y)} samples at {rate} Hz"


def test_any_prefix_and_any_flipped_byte_is_a_verdict() -> None:
    """600 prefixes and 2,000 seeded mutants are read or refused, never anything else."""
    whole = riff(pcm16(Y), RATE, before=LIST)
    random = np.random.default_rng(5)
    mutants = [whole[:n] for n in range(600)]
    for _ in range(2_000):
        changed = bytearray(whole)
        for at in random.integers(0, 60, 3):
            changed[at] = random.integers(256)
        mutants.append(bytes(changed))

    read = [verdict(mutant) for mutant in mutants]

    assert 2_600 == len(read)
    assert all(read)
