"""The motion that pages draw, against the surface that it is taken from."""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from plugins.waves.water import RATE, Dish, G, Surface, motion
from plugins.waves.water.motion import MOST_MODES, PER_SECOND
from plugins.waves.water.surface import SEEN_M

SECONDS = 4
TIMES = np.arange(SECONDS * RATE) / RATE
STEADY = (np.minimum(1, TIMES / 0.3) * np.sin(2 * np.pi * 22 * TIMES)).astype(np.float32)


def slow(made: dict[str, Any]) -> npt.NDArray[np.complex128]:
    """Return the amplitudes in metres [shape=(frames, modes)]."""
    units = np.frombuffer(base64.b64decode(made["amplitudes"]), "<i2").astype(np.float64)
    return np.array(units.reshape(-1, len(made["orders"]), 2) @ [1e-6, 1e-6j])


def test_few_modes_have_nearly_all_that_moves() -> None:
    """All frames together are off by a twentieth of the mean square of the height at most."""
    dish = Dish(highest_hz=14)

    made = motion(dish, STEADY, G)

    surface, off, whole = Surface(dish), 0.0, 0.0
    modes, z = surface.modes, slow(made)
    keys = list(zip(modes.orders, np.round(modes.k * dish.radius, 6), strict=True))
    chosen = [
        keys.index((order, round(zero, 6)))
        for order, zero in zip(made["orders"], made["zeros"], strict=True)
    ]
    area = np.arange(48)[:, np.newaxis]
    for frame, at_s in enumerate(surface.steps(G * STEADY, PER_SECOND), start=1):
        heights = surface.heights()
        surface.amplitudes = np.zeros_like(surface.amplitudes)
        surface.amplitudes[chosen] = z[frame] * np.exp(-2j * np.pi * made["carrier_hz"] * at_s)
        off += float(np.sum((heights - surface.heights()) ** 2 * area))
        whole += float(np.sum(heights**2 * area))
    assert len(z) == SECONDS * PER_SECOND + 1
    assert len(chosen) <= MOST_MODES < modes.k.size / 4
    assert off < 0.06 * whole


def test_amplitudes_turn_so_slowly_that_frames_can_be_interpolated() -> None:
    """The carrier is half the drive, and what is high turns by less than a sixth of a turn."""
    made = motion(Dish(), STEADY, G)

    z = slow(made)
    high = np.abs(z[:-1]) > 0.1e-3
    assert 11 == pytest.approx(made["carrier_hz"], abs=0.01)
    assert high.sum() > PER_SECOND
    assert np.abs(np.angle(z[1:] * z[:-1].conj())[high]).max() < np.pi / 3


def test_a_wave_that_glides_is_not_drawn_higher_than_it_is() -> None:
    """Heights are micrometres, not parts of the highest: a glide stays unseen, a sine is seen."""
    around = 30 + 11 * (2 / np.pi) * np.arcsin(np.sin(2 * np.pi * TIMES))  # 44 Hz/s up and down
    glide = np.sin(2 * np.pi * np.cumsum(around) / RATE).astype(np.float32)[: 2 * RATE]

    unseen, seen = (
        np.abs(slow(motion(Dish(), wave, G))).max() for wave in (glide, STEADY[: 2 * RATE])
    )

    assert unseen < SEEN_M / 4
    assert seen > SEEN_M


@pytest.mark.parametrize("samples", [1, 40])
def test_silence_and_what_is_shorter_than_a_frame_are_still(samples: int) -> None:
    """There is a first frame, and no number is missing."""
    z = slow(motion(Dish(), np.zeros(samples, np.float32), G))

    assert 1 + samples * PER_SECOND // RATE == len(z)
    assert np.abs(z).max() < 0.05e-3
