"""How a transducer answers, from a recording of the sweep.

The spectrum of the recording over that of the sweep is the frequency response (Farina,
"Simultaneous measurement of impulse response and distortion with a swept-sine technique", AES 108,
2000). Its impulse response stands at the recording's latency, which need not be known; what the
transducer distorts comes before it and is cut away. What it does not explain is noise.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from backend.errors import ReflectiveResonanceError
from plugins.playback.tones import HIGHEST_HZ, LOWEST_HZ, SWEEP_S, sweep

Array = npt.NDArray[np.float64]

HERTZ: Array = np.arange(LOWEST_HZ * 10, HIGHEST_HZ * 10 + 1) / 10
"""The frequencies of a response."""
BEFORE_S, AFTER_S = 0.6, 3.0
"""Of the impulse response that is kept: a resonance of 12 Hz with a Q of 30 falls 33 dB in 3 s."""
REGULARISATION = 1e-6  # of the greatest power; 1 a sixth of an octave outside of the band
SILENT_DBFS, CLIPPED = -80.0, 0.999
LEAST_SNR_DB = 10.0  # over a quarter of the band, in octaves
RESONANCE_DB = 3.0
FIT_RATIO, FIT_ROUNDS = 1.5, 12  # a peak is fitted from its frequency / 1.5 to that * 1.5


class MeasurementError(ReflectiveResonanceError):
    """A recording shows no response; the message says why and what to do."""


class Response(NamedTuple):
    """The level of recording over sweep in dB at each of `HERTZ`, and that of noise alone."""

    db: Array
    noise_db: Array

    @property
    def coherence(self) -> Array:
        """The part of the power that comes from the sweep, 0 to 1."""
        return 1 / (1 + 10 ** ((self.noise_db - self.db) / 10))


class Resonance(NamedTuple):
    """A resonance of second order: its frequency, its Q, its peak over the octaves around it."""

    hertz: float
    q: float
    over_db: float


def measure(recording: npt.ArrayLike, sr: int) -> Response:
    """Return the response that a mono recording (full scale +-1) of the sweep shows.

    Raises
    ------
    MeasurementError
        If the recording is too short, not finite, silent, clipped, or too noisy.
    """
    y: Array = np.asarray(recording, np.float64)
    if refusal := _refusal(y, sr):
        raise MeasurementError(f"the recording {refusal}")
    y, x = y - np.mean(y), sweep(sr)
    # 1. the impulse response, regularised by what the sweep does not contain
    n = int(fft.next_fast_len(len(y) + len(x), real=True))
    grid, spectrum = fft.rfftfreq(n, 1 / sr), fft.rfft(x.astype(np.float64), n)
    power = np.abs(spectrum) ** 2
    octaves = np.log2(np.maximum(LOWEST_HZ / grid.clip(1), grid / HIGHEST_HZ))
    epsilon = np.max(power) * REGULARISATION ** (1 - 6 * octaves).clip(0, 1)
    h = fft.irfft(fft.rfft(y, n) * spectrum.conj() / (power + epsilon), n)
    # 2. the part around its peak
    peak, before = int(np.argmax(np.abs(h))), round(BEFORE_S * sr)
    times = np.arange(-before, round(AFTER_S * sr)) / sr
    edges = np.minimum(1 + times / BEFORE_S, 2 - 2 * times / AFTER_S).clip(0, 1)
    window = np.sin(np.pi / 2 * edges) ** 2
    part = np.roll(h, before - peak)[: len(window)] * window
    # 3. what it does not explain is noise
    linear = fft.rfft(np.roll(np.pad(part, (0, n - len(part))), peak - before))
    rest = y - fft.irfft(spectrum * linear, n)[: len(y)]
    at, density = signal.welch(rest, sr, nperseg=2 * sr)
    # 4. both at the same frequencies
    level = np.abs(fft.rfft(part, 10 * sr))[np.rint(HERTZ * 10).astype(int)] ** 2
    noise = np.interp(HERTZ, at, density) * sr / 2 / np.interp(HERTZ, grid, power)
    db, noise_db = (10 * np.log10(one + 1e-20) for one in (level, noise * np.sum(window**2)))
    spaced = np.interp(np.geomspace(LOWEST_HZ, HIGHEST_HZ, 100), HERTZ, db - noise_db)
    if (snr_db := float(np.quantile(spaced, 0.75))) < LEAST_SNR_DB:
        raise MeasurementError(
            f"the sweep is {max(snr_db, 0):.0f} dB over the noise of the recording, of "
            f"{LEAST_SNR_DB:.0f} dB that are needed: raise the level or fix the sensor to the dish"
        )
    return Response(db, noise_db)


def _refusal(y: Array, sr: int) -> str:
    """Return why a recording can show no response, and what to do; empty if it may show one."""
    if y.ndim != 1 or len(y) < SWEEP_S * sr:
        return f"has {len(y) / sr:.1f} s: it must be mono and hold the sweep of {SWEEP_S:.0f} s"
    if not np.isfinite(y).all():
        return "has samples that are no numbers: record it again"
    if (clipped := int(np.count_nonzero(np.abs(y) >= CLIPPED))) > 0:
        return f"clips at {clipped} samples: lower the gain of the input, or the level"
    if (level_db := 20 * np.log10(np.std(y) + 1e-12)) < SILENT_DBFS:
        return f"is silent ({level_db:.0f} dBFS): check the input, its gain and the sensor"
    return ""


def resonances(response: Response) -> list[Resonance]:
    """Return the resonances that stand 3 dB out of the response, highest first."""
    peaks, _ = signal.find_peaks(response.db, prominence=RESONANCE_DB)
    found = filter(None, (_fitted(response, int(peak)) for peak in peaks))
    return sorted(found, key=lambda one: -one.over_db)


def _fitted(response: Response, peak: int) -> Resonance | None:
    """Return the resonance of a peak, by a fit to the power around it; None if it is none.

    power = (c0 + c1 u + c2 u^2) / (u^2 + p u + q) with u the square of the frequency: this has the
    poles of a mass on a spring whether displacement, velocity or acceleration is measured, whose
    peaks lie below, at and above its frequency. The linear problem is solved again with the weights
    of the solution before (Sanathanan and Koerner, 1963), so that errors count in decibels.
    """
    ratios = HERTZ / HERTZ[peak]
    near = (ratios >= 1 / FIT_RATIO) & (ratios <= FIT_RATIO)
    u, power = ratios[near] ** 2, 10 ** ((response.db[near] - response.db[peak]) / 10)
    columns = np.stack((power * u, power, -np.ones_like(u), -u, -(u**2)), axis=1)
    p, q, poles = 0.0, 1.0, np.ones_like(u)
    for _ in range(FIT_ROUNDS):
        weight = response.coherence[near] / (power * poles)
        solved = np.linalg.lstsq(columns * weight[:, None], -power * u**2 * weight, rcond=None)[0]
        p, q = float(solved[0]), max(float(solved[1]), 1e-9)
        poles = np.maximum(np.abs(u**2 + p * u + q), 1e-6)
    ratio, damping = q**0.25, p / q**0.5 + 2
    if damping <= 0 or not 1 / FIT_RATIO < ratio < FIT_RATIO:
        return None
    around = response.db[(ratios >= 0.5) & (ratios <= 2)]
    over_db = float(response.db[peak] - np.median(around))
    return Resonance(float(HERTZ[peak]) * ratio, damping**-0.5, over_db)
