"""What the surface of a dish does while a wave shakes it.

Each mode is a damped Mathieu oscillator, x'' + 2 gamma x' + (w0^2 - k tanh(k h) a(t)) x = 0, where
a(t) is the vertical acceleration: it answers at half the frequency of the drive, or not at all. A
step in time turns and damps each mode exactly, then applies a(t). Two things beyond that:

- Steep waves lose more energy: gamma is multiplied by 1 + 10 S, S being the sum of (k |x|)^2 of all
  modes, so that it is double at a steepness of 0.3, half of that at which standing waves break.
- Noise keeps the surface at `STILL_M` where nothing else moves it; waves grow out of it.

Waves that the wall sends out at the drive's own frequency are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

from plugins.waves.water.dish import Array, Dish

RATE = 1000
"""Steps a second; also the sampling rate of the drive in Hertz."""
FRAMES = 25
"""Looks at the surface a second."""
STILL_M = 3e-6
"""Root mean square of the height of a surface that is left alone."""
SEEN_M = 0.5e-3
"""Height from which a person sees a pattern."""
RADII = 48
STEEP = 10.0
"""Growth of the damping with the square of the steepness."""


@dataclass(frozen=True, slots=True)
class Response:
    """How the surface of a dish answered."""

    seen_after_s: float | None
    """Seconds until a wave was `SEEN_M` high; None: never."""
    highest_m: float
    highest_at_s: float
    answer_hz: float
    """Frequency of the strongest mode when the surface was highest."""


class Surface:
    """The surface of a dish, from rest; `seed` is that of the noise."""

    def __init__(self, dish: Dish, seed: int = 0) -> None:
        self.modes = dish.modes
        self.shapes = Shapes(dish)
        self._noise = np.random.default_rng(seed)
        self._still = STILL_M * np.sqrt(1 / self.modes.k.size) * self.shapes.norm
        self.amplitudes = self._still * self._random()
        """Of each mode in metres, complex: height as the real part, speed over w0 as the other."""

    def steps(self, acceleration: npt.NDArray[Any], per_second: int = FRAMES) -> Iterator[float]:
        """Shake the dish by m/s^2 at `RATE`; yield the time in seconds so many times a second."""
        modes, dt = self.modes, 1 / RATE
        turn = np.exp(-1j * modes.omega * dt)
        kick = 1j * modes.drive * dt / modes.omega
        lost = -modes.gamma * dt
        noise = self._still * np.sqrt(-2 * lost)
        z = self.amplitudes
        for step, a in enumerate(acceleration, start=1):
            steepness = float(np.sum((modes.k * np.abs(z)) ** 2))
            z = z * turn * np.exp(lost * (1 + STEEP * steepness)) + noise * self._random()
            z += kick * a * z.real
            if step * per_second % RATE < per_second:
                self.amplitudes = z
                yield step * dt

    def heights(self) -> Array:
        """Return the height in metres [shape=(radius, angle)], from the centre to the wall."""
        return self.shapes.heights(self.amplitudes.real)

    def _random(self) -> npt.NDArray[np.complex128]:
        pairs = self._noise.standard_normal((2, self.modes.k.size))
        drawn: npt.NDArray[np.complex128] = (pairs[0] + 1j * pairs[1]) / np.sqrt(2)
        return drawn


def respond(dish: Dish, wave: npt.NDArray[np.float32], gain: float, seed: int = 0) -> Response:
    """Return how the surface answers to a wave at `RATE`; `gain`: m/s^2 at full scale."""
    surface = Surface(dish, seed)
    seen_after_s = None
    highest, highest_at_s, answer_hz = 0.0, 0.0, 0.0
    for at_s in surface.steps(gain * wave):
        height = float(np.abs(surface.heights()).max())
        if height >= SEEN_M and seen_after_s is None:
            seen_after_s = at_s
        if height > highest:
            strongest = int(np.argmax(np.abs(surface.amplitudes)))
            highest, highest_at_s = height, at_s
            answer_hz = float(surface.modes.omega[strongest] / (2 * np.pi))
    return Response(seen_after_s, highest, highest_at_s, answer_hz)


class Shapes:
    """The shapes of the modes on a grid of radii and angles."""

    def __init__(self, dish: Dish) -> None:
        modes = dish.modes
        radii = np.linspace(0, dish.radius, RADII)
        self._orders = np.abs(modes.orders)
        shapes = special.jv(self._orders, np.outer(radii, modes.k))
        largest = np.abs(shapes).max(axis=0)
        self._shapes = shapes / largest  # an amplitude is the height at its highest place
        squares = np.trapezoid(self._shapes**2 * radii[:, None], radii, axis=0) * 2 / dish.radius**2
        self.norm: Array = np.sqrt(np.where(self._orders == 0, 1, 2) / squares)
        self._phase = np.where(modes.orders < 0, -1j, 1)
        self._angles = 4 * (int(self._orders.max()) + 1)

    def heights(self, amplitudes: Array) -> Array:
        """Sum the modes: over those of one order, then over the orders by an inverse FFT."""
        spectrum = np.zeros((self._angles // 2 + 1, RADII), dtype=np.complex128)
        np.add.at(spectrum, self._orders, (self._shapes * (amplitudes * self._phase)).T)
        spectrum[0] *= 2
        heights: Array = np.fft.irfft(spectrum, n=self._angles, axis=0).T * (self._angles / 2)
        return heights
