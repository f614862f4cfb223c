"""The motion of a dish as a page draws it: few modes, and their amplitudes at 30 frames a second.

Water moves too fast for 30 frames a second, so amplitudes turn with a carrier: the height of a mode
is the real part of `amplitude * exp(-2j pi carrier_hz t)`, and frames may be interpolated.
"""

import base64
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.waves.water.dish import Dish
from plugins.waves.water.surface import RATE, Surface

PER_SECOND = 30
MOST_MODES = 24
ENERGY = 0.95
"""Part of the mean square of the height that is in the modes which are kept."""
BAND, BEYOND_HZ = 0.99, 4.0
"""Modes grow up to so far over half the frequency below which so much of the wave's power is."""


def motion(dish: Dish, wave: npt.NDArray[np.float32], gain: float) -> dict[str, Any]:
    """Return how a dish answers to a wave at `RATE`; `gain`: m/s^2 at full scale."""
    power = np.cumsum(np.abs(np.fft.rfft(wave)) ** 2)
    top_hz = float(np.searchsorted(power, BAND * power[-1]) * RATE / wave.size)
    surface = Surface(replace(dish, highest_hz=min(dish.highest_hz, top_hz / 2 + BEYOND_HZ)))
    modes, times, looks = surface.modes, [0.0], [surface.amplitudes]
    for at_s in surface.steps(gain * wave, PER_SECOND):
        times.append(at_s)
        looks.append(surface.amplitudes)
    squares = np.sum(np.abs(np.array(looks) / surface.shapes.norm) ** 2, axis=0)
    strongest = np.argsort(-squares)
    parts = np.cumsum(squares[strongest]) / squares.sum()
    chosen = strongest[: min(int(np.searchsorted(parts, ENERGY)) + 1, MOST_MODES)]
    z, at = np.array(looks)[:, chosen], np.array(times)[:, np.newaxis]
    omega = modes.omega[chosen[0]]
    omega -= PER_SECOND * np.angle(np.vdot(z[:-1], z[1:]) * np.exp(1j * omega / PER_SECOND))
    slow = z * np.exp(1j * omega * at)
    micrometres = np.clip(np.rint(1e6 * np.stack([slow.real, slow.imag], -1)), -32768, 32767)
    return {
        "per_second": PER_SECOND,
        "carrier_hz": omega / (2 * np.pi),
        "orders": modes.orders[chosen].tolist(),
        "zeros": (modes.k[chosen] * dish.radius).tolist(),
        "amplitudes": base64.b64encode(micrometres.astype("<i2").tobytes()).decode(),
    }
