"""WAV files made by hand: the good ones by what they must give, the bad ones by why they fail."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
RNG_SEED = 20261122


@dataclass(frozen=True)
class Bad:
    """A file that must be refused, with the reason and a value that the message must give."""

    name: str
    contents: bytes
    reason: str
    value: str


def chunk(name: bytes, contents: bytes, declared: int | None = None) -> bytes:
    """Return one RIFF chunk with its pad byte."""
    size = len(contents) if declared is None else declared
    return name + struct.pack("<I", size) + contents + b"\0" * (len(contents) % 2)


def fmt(
    tag: int = 1,
    channels: int = 1,
    rate: int = 22_050,
    bits: int = 16,
    block_align: int | None = None,
    extra: bytes = b"",
) -> bytes:
    """Return a `fmt ` chunk."""
    align = channels * bits // 8 if block_align is None else block_align
    body = struct.pack("<HHIIHH", tag, channels, rate, rate * align % 2**32, align, bits)
    return chunk(b"fmt ", body + extra)


def extensible(
    bits: int, valid_bits: int, tag: int, channels: int = 1, tail: bytes = GUID_TAIL
) -> bytes:
    """Return a WAVE_FORMAT_EXTENSIBLE `fmt ` chunk."""
    extra = struct.pack("<HHIH", 22, valid_bits, 0, tag) + tail
    return fmt(0xFFFE, channels, bits=bits, extra=extra)


def riff(
    *chunks: bytes, form: bytes = b"RIFF", kind: bytes = b"WAVE", declared: int | None = None
) -> bytes:
    """Return a RIFF file."""
    body = kind + b"".join(chunks)
    return form + struct.pack("<I", len(body) if declared is None else declared) + body


def ds64(size: int, samples: bytes, *, form: bytes = b"RF64") -> bytes:
    """Return an RF64 file of `samples` that claims to have `size` bytes of them."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 80 + size, size, size // 2, 0))
    data = b"data" + struct.pack("<I", 2**32 - 1) + samples
    return riff(sizes, fmt(), data, form=form, declared=2**32 - 1)


def tone(frames: int = 2_000, rate: int = 22_050) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return a tone of 220 Hz at half scale."""
    return 0.5 * np.sin(2 * np.pi * 220 * np.arange(frames) / rate)


def pcm16(frames: int = 2_000) -> bytes:
    """Return a tone as 16-bit samples."""
    return (tone(frames) * 32767).astype("<i2").tobytes()


def float32(frames: int = 2_000) -> bytes:
    """Return a tone as 32-bit float samples."""
    return tone(frames).astype("<f4").tobytes()


def valid() -> bytes:
    """Return a plain good file."""
    return riff(fmt(), chunk(b"data", pcm16()))


def floats_with(*values: float, dtype: str = "<f4") -> bytes:
    """Return a float file of a tone that ends with `values`."""
    samples = np.concatenate([tone(100), values]).astype(dtype)
    bits = 8 * samples.dtype.itemsize
    return riff(fmt(3, bits=bits), chunk(b"data", samples.tobytes()))


def bad_files() -> Iterator[Bad]:
    """Give every bad file."""
    yield from _not_riff()
    yield from _bad_format()
    yield from _bad_chunks()
    yield from _bad_sizes()
    yield from _bad_samples()


def _not_riff() -> Iterator[Bad]:
    good = valid()
    yield Bad("empty", b"", "empty", "0 bytes")
    yield Bad("one byte", b"R", "not_wave", "b'R'")
    yield Bad("four bytes", b"RIFF", "truncated", "4")
    yield Bad("eleven bytes", good[:11], "truncated", "11")
    yield Bad("twelve bytes", good[:12], "truncated", "12")
    yield Bad("text", b"This is not audio at all, sorry.", "not_wave", "This")
    yield Bad("html", b"<!DOCTYPE html><html></html>", "not_wave", "<!DOCTYPE")
    yield Bad("json error", b'{"error": {"code": 429}}', "not_wave", "error")
    yield Bad("zeros", bytes(4096), "not_wave", "\\x00")
    yield Bad("ones", b"\xff" * 4096, "not_wave", "\\xff")
    yield Bad("mp3", b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(500), "unsupported_format", "MP3")
    yield Bad("flac", b"fLaC" + bytes(500), "unsupported_format", "FLAC")
    yield Bad("ogg", b"OggS" + bytes(500), "unsupported_format", "Ogg")
    yield Bad("aiff", b"FORM\0\0\1\0AIFF" + bytes(500), "unsupported_format", "AIFF")
    yield Bad("rifx", b"RIFX" + good[4:], "unsupported_format", "RIFX")
    yield Bad("avi", riff(fmt(), kind=b"AVI "), "not_wave", "AVI ")
    yield Bad("lower case", b"riff" + good[4:], "not_wave", "riff")
    yield Bad("byte order mark", b"\xef\xbb\xbf" + good, "not_wave", "\\xef\\xbb\\xbf")
    yield Bad("crlf mangled", good.replace(b"\x00\x00", b"\r\n"), "truncated", "claims")
    yield Bad("zip", b"PK\x03\x04" + bytes(200), "not_wave", "PK")


def _bad_format() -> Iterator[Bad]:
    data = chunk(b"data", bytes(6_720))

    def bad(name: str, head: bytes, reason: str, value: str) -> Bad:
        return Bad(name, riff(head, data), reason, value)

    yield bad("ms adpcm", fmt(2, bits=4, block_align=256), "unsupported_format", "MS ADPCM")
    yield bad("ima adpcm", fmt(0x11, bits=4, block_align=256), "unsupported_format", "IMA ADPCM")
    yield bad("gsm", fmt(0x31, bits=0, block_align=65), "unsupported_format", "GSM")
    yield bad("mp3 in wav", fmt(0x55, bits=0, block_align=1), "unsupported_format", "MP3")
    yield bad("tag 0", fmt(0), "unsupported_format", "0x0000")
    yield bad("tag 0x1234", fmt(0x1234), "unsupported_format", "0x1234")
    for bits in (0, 1, 4, 12, 17, 20, 48, 64, 65_535):
        head = fmt(bits=bits, block_align=max(1, bits // 8))
        yield bad(f"{bits}-bit integer", head, "unsupported_format", f"{bits}-bit")
    for bits in (8, 16, 24, 80):
        yield bad(f"{bits}-bit float", fmt(3, bits=bits), "unsupported_format", f"{bits}-bit float")
    for channels in (0, 9, 255, 65_535):
        head = fmt(channels=channels, block_align=2)
        yield bad(f"{channels} channels", head, "out_of_range", f"{channels} channels")
    for rate in (0, 1, 4_000, 7_999, 192_001, 384_000, 2**31, 2**32 - 1):
        yield bad(f"{rate} Hz", fmt(rate=rate), "out_of_range", f"{rate} Hz")
    for bits, align in ((24, 4), (12, 2), (8, 2), (32, 3)):
        head = fmt(bits=bits, block_align=align)
        reason = "unsupported_format" if bits == 12 else "not_wave"
        yield bad(f"{bits} bits in {align} bytes", head, reason, f"{12 if bits == 12 else align}")
    yield bad("block align 0", fmt(block_align=0), "not_wave", "0 bytes per frame")
    yield bad("block align 3", fmt(block_align=3), "not_wave", "3 bytes per frame")
    yield bad(
        "extensible, unknown GUID",
        extensible(16, 16, 1, tail=bytes(14)),
        "unsupported_format",
        "GUID",
    )
    yield bad("extensible, 17 of 16 bits", extensible(16, 17, 1), "not_wave", "17 valid bits")
    yield bad("extensible, short", fmt(0xFFFE, extra=bytes(8)), "not_wave", "24 bytes")


def _bad_chunks() -> Iterator[Bad]:
    data = chunk(b"data", pcm16())
    yield Bad("no chunks", riff(), "truncated", "fmt ")
    yield Bad("fmt only", riff(fmt()), "truncated", "data")
    yield Bad("data only", riff(data), "not_wave", "before their format")
    yield Bad("data before fmt", riff(data, fmt()), "not_wave", "before their format")
    yield Bad("two fmt", riff(fmt(), fmt(channels=2), data), "not_wave", "second 'fmt ' chunk")
    yield Bad("fmt of 4 bytes", riff(chunk(b"fmt ", bytes(4)), data), "not_wave", "4 bytes")
    yield Bad("fmt of 0 bytes", riff(chunk(b"fmt ", b""), data), "not_wave", "0 bytes")
    yield Bad(
        "endless chunks", riff(fmt(), *[chunk(b"junk", b"")] * 5_000, data), "not_wave", "1000"
    )
    yield Bad(
        "chunk of 4 GB",
        riff(fmt(), chunk(b"LIST", b"abcd", 2**32 - 1), data),
        "truncated",
        "4294967295",
    )
    yield Bad(
        "chunk past the end", riff(fmt(), chunk(b"LIST", b"abcd", 9_999)), "truncated", "9999"
    )
    yield Bad(
        "odd chunk without pad byte",
        riff(fmt(), chunk(b"LIST", b"odd")[:-1], data),
        "truncated",
        "claims",
    )


def _bad_sizes() -> Iterator[Bad]:
    def declares(size: int, present: bytes, head: bytes | None = None) -> bytes:
        return riff(head or fmt(), b"data" + struct.pack("<I", size) + present)

    yield Bad("no frames", declares(0, b""), "empty", "0 bytes")
    yield Bad("no frames, then a list", declares(0, chunk(b"LIST", b"INFO")), "empty", "0 bytes")
    yield Bad("half a frame", declares(1, b"\1"), "empty", "0 whole frames")
    yield Bad(
        "half a frame of 8 channels", declares(8, bytes(8), fmt(channels=8)), "empty", "8 bytes"
    )
    yield Bad("streamed, nothing there", declares(0xFFFF_FFFF, b""), "empty", "0 whole frames")
    yield Bad("one byte short", declares(4_000, pcm16()[:-1]), "truncated", "3999")
    yield Bad("rf64, one byte short", ds64(4_000, pcm16()[:-1]), "truncated", "3999")
    yield Bad("rf64, ds64 cut", riff(chunk(b"ds64", bytes(9)), form=b"RF64"), "truncated", "fmt ")
    yield Bad("half there", declares(4_000, pcm16()[:2_000]), "truncated", "2000")
    yield Bad("declares 1 GB", declares(2**30, pcm16()), "truncated", "1073741824")
    yield Bad("declares 2 GB less one", declares(1_999_999_999, pcm16()), "truncated", "1999999999")
    yield Bad("cut in the data header", riff(fmt(), b"data\1\0"), "truncated", "ends at byte")
    yield Bad(
        "601 s",
        riff(fmt(rate=8_000, bits=8), chunk(b"data", bytes(601 * 8_000))),
        "too_long",
        "601.0 s",
    )


def _bad_samples() -> Iterator[Bad]:
    inf, nan = float("inf"), float("nan")
    yield Bad("one NaN", floats_with(nan), "not_finite", "1 of 101 samples")
    yield Bad("NaN, Inf, -Inf", floats_with(nan, inf, -inf), "not_finite", "3 of 103 samples")
    yield Bad("NaN as double", floats_with(nan, nan, dtype="<f8"), "not_finite", "2 of 102 samples")
    yield Bad("beyond float32", floats_with(1e300, dtype="<f8"), "not_finite", "1 of 101 samples")
    yield Bad("beyond 8", floats_with(8.01), "out_of_range", "8.01")
    yield Bad("beyond -8", floats_with(-9.0), "out_of_range", "9")
    yield Bad("1e30", floats_with(1e30), "out_of_range", "1e+30")
    yield Bad(
        "integers called float",
        riff(fmt(3, bits=32), chunk(b"data", b"\xff\xff\x7f\x7f" * 50)),
        "out_of_range",
        "3.40282e+38",
    )
    yield Bad(
        "text called float",
        riff(fmt(3, bits=32), chunk(b"data", b"zzzz" * 50)),
        "out_of_range",
        "e+35",
    )


def good_files() -> dict[str, tuple[bytes, tuple[str, ...]]]:
    """Return every file that is read, with a word of each warning it gives."""
    data = chunk(b"data", pcm16())
    streamed = struct.pack("<I", 0)
    endless, signed = struct.pack("<I", 0xFFFF_FFFF), struct.pack("<I", 0x7FFF_FFFF)
    huge = np.full(3_000, 2**31 - 1, dtype="<i4").tobytes()
    files: dict[str, tuple[bytes, tuple[str, ...]]] = {
        "plain": (valid(), ()),
        "extra chunks": (
            riff(fmt(), chunk(b"LIST", b"INFOICMT"), chunk(b"bext", bytes(602)), data),
            (),
        ),
        "odd extra chunk": (riff(fmt(), chunk(b"LIST", b"INFOx"), data), ()),
        "chunks behind": (riff(fmt(), data, chunk(b"LIST", b"INFO"), chunk(b"id3 ", b"x")), ()),
        "odd byte": (riff(fmt(), chunk(b"data", pcm16() + b"\1")), ("left out 1 byte",)),
        "odd data size of bytes": (riff(fmt(bits=8), chunk(b"data", pcm16()[:333])), ()),
        "trailing garbage": (valid() + b"\xde\xad\xbe\xef" * 333, ()),
        "riff size 0": (riff(fmt(), data, declared=0), ()),
        "riff size too large": (riff(fmt(), data, declared=10**9), ()),
        "streamed 0": (riff(fmt(), b"data" + streamed + pcm16(), declared=0), ("streamed",)),
        "streamed 0, only data": (riff(fmt(), b"data" + streamed + pcm16()), ("streamed",)),
        "streamed F": (riff(fmt(), b"data" + endless + pcm16(), declared=2**32 - 1), ("streamed",)),
        "streamed 7F": (riff(fmt(), b"data" + signed + pcm16()), ("streamed",)),
        "streamed odd": (
            riff(fmt(), b"data" + endless + pcm16() + b"\1"),
            ("streamed", "left out 1"),
        ),
        "fmt of 18 bytes": (riff(fmt(extra=b"\0\0"), data), ()),
        "fmt of 40 bytes": (riff(fmt(extra=bytes(24)), data), ()),
        "fact": (riff(fmt(3, bits=32), chunk(b"fact", bytes(4)), chunk(b"data", float32())), ()),
        "extensible 16": (riff(extensible(16, 16, 1), data), ()),
        "extensible 20 in 24": (riff(extensible(24, 20, 1), chunk(b"data", pcm16(1_500))), ()),
        "extensible float": (riff(extensible(32, 32, 3), chunk(b"data", float32())), ()),
        "a-law": (riff(fmt(6, bits=8), chunk(b"data", bytes(range(256)))), ()),
        "mu-law": (riff(fmt(7, bits=8), chunk(b"data", bytes(range(256)))), ()),
        "extensible mu-law": (riff(extensible(8, 8, 7), chunk(b"data", bytes(range(256)))), ()),
        "extensible 24 in 32": (riff(extensible(32, 24, 1), chunk(b"data", huge)), ()),
        "rf64": (ds64(4_000, pcm16()), ()),
        "bw64": (ds64(4_000, pcm16(), form=b"BW64"), ()),
        "rf64, chunks behind": (ds64(4_000, pcm16() + chunk(b"LIST", b"INFO")), ()),
        "one sample": (riff(fmt(), chunk(b"data", pcm16(2)[2:])), ()),
        "shorter than a frame": (riff(fmt(), chunk(b"data", pcm16(100))), ()),
        "silence": (riff(fmt(), chunk(b"data", bytes(8_000))), ()),
        "full-scale DC": (riff(fmt(bits=32), chunk(b"data", huge)), ()),
        "denormals": (floats_with(*[1e-42, -1e-45] * 500), ()),
        "double denormals": (floats_with(*[5e-324] * 500, dtype="<f8"), ()),
        "peak of 8": (floats_with(8.0, -8.0), ()),
        "byte rate wrong": (valid()[:28] + b"\0\0\0\0" + valid()[32:], ()),
    }
    return files


MUTATIONS: tuple[Callable[[bytearray, np.random.Generator], None], ...]


def _flip_bit(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data)))
    data[at] ^= 1 << int(rng.integers(8))


def _set_header_byte(data: bytearray, rng: np.random.Generator) -> None:
    data[int(rng.integers(min(80, len(data))))] = int(rng.choice([0, 1, 127, 128, 255]))


def _set_header_word(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(min(80, len(data) - 4)))
    value = int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1, len(data), len(data) + 1]))
    data[at : at + 4] = struct.pack("<I", value)


def _insert(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 40)))


def _delete(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(len(data) - 50))
    del data[at : at + int(rng.integers(1, 40))]


def _duplicate(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(min(100, len(data))))
    data[at:at] = data[at : at + int(rng.integers(1, 60))]


def _garble_samples(data: bytearray, rng: np.random.Generator) -> None:
    at = int(rng.integers(44, len(data) - 64))
    data[at : at + 64] = rng.bytes(64)


MUTATIONS = (
    _flip_bit,
    _set_header_byte,
    _set_header_word,
    _insert,
    _delete,
    _duplicate,
    _garble_samples,
)


def mutants(count: int, seed: int = RNG_SEED) -> Iterator[bytes]:
    """Give `count` damaged copies of good files, one to four mutations each."""
    rng = np.random.default_rng(seed)
    seeds = [contents for contents, _ in good_files().values() if len(contents) > 200]
    for _ in range(count):
        data = bytearray(seeds[int(rng.integers(len(seeds)))])
        for _ in range(int(rng.integers(1, 5))):
            MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng)
        yield bytes(data)


def truncations(count: int, seed: int = RNG_SEED) -> Iterator[bytes]:
    """Give good files cut at `count` places: each byte of the header first, then anywhere."""
    rng = np.random.default_rng(seed)
    seeds = [valid(), good_files()["extra chunks"][0]]
    for n in range(count):
        data = seeds[n % 2]
        yield data[: n // 2] if n < 120 else data[: int(rng.integers(60, len(data)))]
