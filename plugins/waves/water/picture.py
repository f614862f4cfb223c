"""Moving pictures of a surface, as an animated PNG: browsers play it, others show its start."""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plugins.waves.water.dish import Array

PIXELS = 240
SHADES_PER_M = 127 / 1e-3
"""Black is a millimetre or more below, white above; the water at rest is grey."""


def write_animation(path: Path, surfaces: Iterable[Array], frames: int, per_second: int) -> None:
    """Write heights in metres [shape=(radius, angle)] of `frames` looks from above."""
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(_chunk(b"IHDR", struct.pack(">2I5B", PIXELS, PIXELS, 8, 0, 0, 0, 0)))
        file.write(_chunk(b"acTL", struct.pack(">2I", frames, 0)))
        count = 0
        for number, surface in enumerate(surfaces):
            shown = struct.pack(">5I2H2B", count, PIXELS, PIXELS, 0, 0, 1, per_second, 0, 0)
            file.write(_chunk(b"fcTL", shown))
            rows = np.pad(_from_above(surface), ((0, 0), (1, 0)))  # each begins with its filter, 0
            data = zlib.compress(rows.tobytes())
            start = struct.pack(">I", count + 1)
            file.write(_chunk(b"fdAT", start + data) if number else _chunk(b"IDAT", data))
            count += 2 if number else 1
        file.write(_chunk(b"IEND", b""))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _from_above(surface: Array) -> npt.NDArray[np.uint8]:
    radii, angles = surface.shape
    y, x = np.mgrid[1 : -1 : PIXELS * 1j, -1 : 1 : PIXELS * 1j]
    radius = np.hypot(x, y)
    ring = np.minimum((radius * (radii - 1) + 0.5).astype(int), radii - 1)
    angle = (np.arctan2(y, x) / (2 * np.pi) * angles).astype(int) % angles
    shades = np.clip(128 + SHADES_PER_M * surface[ring, angle], 0, 255)
    return np.where(radius <= 1, shades, 0).astype(np.uint8)
