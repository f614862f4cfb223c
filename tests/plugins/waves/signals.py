"""Signals of every kind a pitch tracker may meet, each made from a seed."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

SR = 8000
Signal = npt.NDArray[np.float64]
Rng = np.random.Generator


def _time(n: int) -> Signal:
    return np.arange(n) / SR


def tone(rng: Rng, n: int) -> Signal:
    """One sinusoid, anywhere from below fmin to above fmax."""
    return np.sin(2 * np.pi * rng.uniform(40, 3900) * _time(n) + rng.uniform(0, 6))


def whole_period_tone(rng: Rng, n: int) -> Signal:
    """A sinusoid whose period is a whole number of samples: voiced with probability 1."""
    return np.sin(2 * np.pi * np.arange(n) / rng.integers(4, 120))


def harmonics(rng: Rng, n: int) -> Signal:
    """A buzz with vibrato."""
    f0 = rng.uniform(70, 400) * (1 + 0.03 * np.sin(2 * np.pi * rng.uniform(1, 8) * _time(n)))
    phase = 2 * np.pi * np.cumsum(f0) / SR
    return np.asarray(np.sum([np.sin(h * phase) / h for h in range(1, 9)], axis=0))


def chirp(rng: Rng, n: int) -> Signal:
    """An exponential glide."""
    f0 = np.geomspace(rng.uniform(50, 2200), rng.uniform(50, 2200), n)
    return np.asarray(np.sin(2 * np.pi * np.cumsum(f0) / SR), dtype=np.float64)


def jumps(rng: Rng, n: int) -> Signal:
    """Tones whose pitch jumps out of the decoder's band every few frames, without a gap."""
    length = int(rng.integers(100, 3000))
    f0 = np.repeat(rng.uniform(66, 2000, n // length + 1), length)[:n]
    return np.asarray(np.sin(2 * np.pi * np.cumsum(f0) / SR), dtype=np.float64)


def whole_period_jumps(rng: Rng, n: int) -> Signal:
    """The same, voiced with probability 1 on either side of a jump."""
    length = int(rng.integers(2000, 6000))
    periods = np.repeat(rng.integers(4, 120, n // length + 1), length)[:n]
    return np.asarray(np.sin(2 * np.pi * np.cumsum(1 / periods)), dtype=np.float64)


def square(rng: Rng, n: int) -> Signal:
    """A square wave, a whole number of samples long in half of the cases."""
    period = rng.integers(4, 120) if rng.random() < 0.5 else rng.uniform(4, 120)
    return np.where(np.arange(n) % period < period / 2, 1.0, -1.0)


def sawtooth(rng: Rng, n: int) -> Signal:
    """A rising ramp."""
    return np.asarray(np.arange(n) * rng.uniform(0.01, 0.2) % 1.0 * 2 - 1, dtype=np.float64)


def noise(rng: Rng, n: int) -> Signal:
    """White noise."""
    return rng.standard_normal(n) / 4


def brown_noise(rng: Rng, n: int) -> Signal:
    """Integrated noise."""
    y = np.cumsum(rng.standard_normal(n))
    return np.asarray(y / max(np.abs(y).max(), 1e-9))


def noisy_tone(rng: Rng, n: int) -> Signal:
    """A buzz in noise of any strength."""
    return harmonics(rng, n) + rng.standard_normal(n) * 10 ** rng.uniform(-4, 0.5)


def gated(rng: Rng, n: int) -> Signal:
    """A buzz switched on and off, with exact silence between."""
    gate = np.repeat(rng.random(n // 400 + 1) < 0.5, 400)[:n]
    return harmonics(rng, n) * gate


def silence(rng: Rng, n: int) -> Signal:
    """Nothing at all."""
    del rng
    return np.zeros(n)


def dc(rng: Rng, n: int) -> Signal:
    """A constant."""
    return np.full(n, rng.uniform(-1, 1))


def clicks(rng: Rng, n: int) -> Signal:
    """A few impulses, regular in half of the cases."""
    y = np.zeros(n)
    if rng.random() < 0.5:
        y[:: int(rng.integers(5, 700))] = 1
    else:
        y[rng.integers(0, n, 1 + n // 2000)] = rng.uniform(-1, 1, 1 + n // 2000)
    return y


def steps(rng: Rng, n: int) -> Signal:
    """Noise of one to four bits: many exact ties."""
    levels = int(rng.integers(1, 9))
    return rng.integers(-levels, levels + 1, n) / levels


def faded(rng: Rng, n: int) -> Signal:
    """A tone that fades over many orders of magnitude."""
    return tone(rng, n) * np.geomspace(1, 10 ** rng.uniform(-12, -1), n)


KINDS: tuple[Callable[[Rng, int], Signal], ...] = (
    tone,
    whole_period_tone,
    harmonics,
    chirp,
    jumps,
    whole_period_jumps,
    square,
    sawtooth,
    noise,
    brown_noise,
    noisy_tone,
    gated,
    silence,
    dc,
    clicks,
    steps,
    faded,
)


def make(kind: Callable[[Rng, int], Signal], seed: int, n: int, amplitude: float) -> Signal:
    """Make `n` samples of `kind`."""
    return amplitude * kind(np.random.default_rng(seed), n)


def make_coarse(
    kind: Callable[[Rng, int], Signal], seed: int, n: int, amplitude: float
) -> npt.NDArray[np.float32]:
    """Make `n` samples of `kind` in steps of 16 bits, which every processor computes alike."""
    return (amplitude * coarse(make(kind, seed, n, 1.0))).astype(np.float32)


def coarse(y: Signal) -> Signal:
    """Return the nearest steps of 16 bits."""
    return np.asarray(np.rint(y * 2**15) / 2**15)
