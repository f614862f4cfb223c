"""The dish in the computer, against theory and against what others measured."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from plugins.waves.water import FRAMES, LIQUIDS, RATE, Dish, G, Surface, respond, write_animation

SMALL = Dish(0.03, 0.010)


def steady(hertz: float, seconds: float = 4.0) -> "np.typing.NDArray[np.float32]":
    """Return a sine at full scale that begins softly."""
    times = np.arange(int(seconds * RATE)) / RATE
    sine = np.minimum(1, times / 0.3) * np.sin(2 * np.pi * hertz * times)
    return sine.astype(np.float32)


@pytest.mark.parametrize(("hertz", "measured"), [(15, 0.18), (30, 0.39)])
def test_thresholds_are_those_that_were_measured(hertz: float, measured: float) -> None:
    """In 20 % of glycerol, within a fifth."""
    dish = Dish(0.075, 0.010, LIQUIDS["glycerol20"])

    assert measured == pytest.approx(dish.threshold(hertz) / G, rel=0.2)


def test_a_mode_that_is_left_alone_rings_at_its_frequency_and_dies_away() -> None:
    """The dispersion relation and the damping, from the motion itself."""
    surface = Surface(SMALL)
    mode = 3
    surface.amplitudes[mode] = 1e-4  # far above the noise, far below what is steep
    omega, gamma = surface.modes.omega[mode], surface.modes.gamma[mode]

    *_, at_s = surface.steps(np.zeros(RATE))

    tension = SMALL.liquid.tension / SMALL.liquid.density
    k = surface.modes.k[mode]
    assert omega**2 == pytest.approx((G * k + tension * k**3) * np.tanh(k * 0.010))
    assert 1e-4 * np.exp(-gamma * at_s) == pytest.approx(abs(surface.amplitudes[mode]), rel=0.3)
    turned = surface.amplitudes[mode] * np.exp(1j * omega * at_s)
    assert abs(np.angle(turned)) < 0.3


def test_water_answers_at_half_the_frequency_over_its_threshold_only() -> None:
    """A drive at twice the frequency of a mode, a tenth below its threshold and a half above it."""
    modes = SMALL.modes
    mode = int(np.argmin(np.abs(modes.omega / np.pi - 30)))
    hertz, threshold = modes.omega[mode] / np.pi, modes.thresholds[mode]

    below = respond(SMALL, steady(hertz, 6), 0.9 * threshold)
    above = respond(SMALL, steady(hertz, 6), 1.5 * threshold)

    assert below.seen_after_s is None
    assert above.seen_after_s is not None
    assert above.highest_m > 20 * below.highest_m
    assert hertz / 2 == pytest.approx(above.answer_hz, rel=0.03)


def test_a_voice_that_glides_moves_nothing() -> None:
    """A frequency that changes by 44 Hz/s is past before waves can grow; a steady one moves it."""
    times = np.arange(4 * RATE) / RATE
    around = 30 + 11 * (2 / np.pi) * np.arcsin(np.sin(2 * np.pi * times))  # 44 Hz/s up and down
    glide = np.sin(2 * np.pi * np.cumsum(around) / RATE).astype(np.float32)

    assert respond(SMALL, glide, G).seen_after_s is None
    assert respond(SMALL, steady(30), G).seen_after_s is not None


def test_heights_stay_below_what_breaks() -> None:
    """However hard it is shaken, no wave is higher than a standing wave can be."""
    response = respond(SMALL, steady(20), 5 * G)

    modes = SMALL.modes
    answered = np.argmin(np.abs(modes.omega / (2 * np.pi) - response.answer_hz))
    assert 0.0005 < response.highest_m < 2 / modes.k[answered]


def test_a_picture_is_an_animated_png(tmp_path: Path) -> None:
    """Each chunk has its checksum; there is a frame for each look, of a byte for each pixel."""
    surface, path = Surface(SMALL), tmp_path / "water.png"
    looks = (surface.heights() for _ in surface.steps(5 * G * steady(30, 1)))

    write_animation(path, looks, FRAMES, FRAMES)

    data, at, chunks = path.read_bytes(), 8, []
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        assert zlib.crc32(body) == checksum
        chunks.append((body[:4], body[4:]))
        at += 12 + length
    names = [name for name, _ in chunks]
    width, height = struct.unpack_from(">2I", chunks[0][1])
    frames = [body[4:] for name, body in chunks if name == b"fdAT"]
    frames.insert(0, chunks[names.index(b"IDAT")][1])
    assert FRAMES == names.count(b"fcTL") == len(frames)
    shades = [np.frombuffer(zlib.decompress(one), dtype=np.uint8) for one in frames]
    assert all((width + 1) * height == one.size for one in shades)
    assert shades[-1].std() > shades[0].std()
