"""Compiled kernels of V3's synthesis; step numbers are those of `plugins.waves.decompose_v3`.

Values known per frame (frequency, amplitude, gain) are interpolated linearly between frame m at
sample ``m * HOP`` and the next; after the last frame they stay.
"""

import numpy as np

from plugins.waves.jit import kernel

HOP = 128
N_FFT = 512
# Inner loops count in unsigned integers: numba's check for negative indices would keep them scalar.
_FRAME = np.uint64(N_FFT)
_ROTATIONS = np.uint64(16)


@kernel(
    "void(float32[::1], float64[::1], float64[::1], float64[::1], int64, float64[:, ::1],"
    " float64[::1], float64[:, ::1])",
    fastmath=frozenset({"contract"}),
)
def harmonic_magnitudes(y, f0, window, cosine, sr, magnitudes, x, sums):
    """Step 4: magnitude of the spectrum at the bins of the first three harmonics.

    Only the bins asked for are computed. A bin is a sum over 512 samples; taking every 16th sample
    together makes the rotations within each of 16 parallel sums the same.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)], float32
    f0 : np.ndarray [shape=(n_frames,)], float64
        Hertz; 0 in unvoiced frames.
    window, cosine : np.ndarray [shape=(512,)], float64
        Window of a frame; one period of a cosine.
    sr : int
        Hertz.
    magnitudes : np.ndarray [shape=(3, n_frames)], float64
        Written; 0 in unvoiced frames.
    x, sums : np.ndarray [shapes=(512,), (2, 16)], float64
        To work in.
    """
    n = y.shape[0]
    re, im = sums[0], sums[1]
    for m in range(f0.shape[0]):
        if f0[m] <= 0.0:
            magnitudes[0, m] = 0.0
            magnitudes[1, m] = 0.0
            magnitudes[2, m] = 0.0
            continue
        first = m * 128 - 256
        if first >= 0 and first + 512 <= n:
            begin = np.uint64(first)
            for i in range(_FRAME):
                x[i] = window[i] * y[begin + i]
        else:
            for i in range(512):
                inside = 0 <= first + i < n
                x[i] = window[i] * y[first + i] if inside else 0.0
        for h in range(1, 4):
            k = int(min(max(np.rint(h * f0[m] * 512.0 / sr), 0.0), 256.0))
            re[:] = 0.0
            im[:] = 0.0
            for i in range(0, 512, 16):
                c = cosine[(i * k) & 511]
                s = cosine[(i * k + 128) & 511]
                begin = np.uint64(i)
                for r in range(_ROTATIONS):
                    re[r] += c * x[begin + r]
                    im[r] += s * x[begin + r]
            total_re = 0.0
            total_im = 0.0
            for r in range(16):
                c = cosine[(r * k) & 511]
                s = cosine[(r * k + 128) & 511]
                total_re += c * re[r] - s * im[r]
                total_im += c * im[r] + s * re[r]
            magnitudes[h - 1, m] = np.sqrt(total_re * total_re + total_im * total_im)


@kernel(
    "void(float32[::1], float64[::1])",
    fastmath=frozenset({"contract"}),
)
def block_energies(y, energies):
    """Step 6: sum of squares of each hop of samples; the last hop may be short."""
    for b in range(energies.shape[0]):
        total = 0.0
        for i in range(b * 128, min(b * 128 + 128, y.shape[0])):
            total += np.float64(y[i]) * np.float64(y[i])
        energies[b] = total


@kernel(
    "float64(float64[::1], float64, float64, int64, int64, float64, float64[::1])",
)
def accumulate_phase(f0, lowest, highest, sr, start, phase, phases):
    """Steps 2, 3 and 5: phase of the first harmonic at each sample from `start` on.

    Parameters
    ----------
    f0 : np.ndarray [shape=(n_frames,)], float64
        Hertz; 0 in unvoiced frames.
    lowest, highest : float
        Range of `f0` in Hertz that becomes 15 to 80 Hz.
    sr : int
        Hertz.
    start : int
        First sample, a multiple of 128.
    phase : float
        Phase before the first sample in radians.
    phases : np.ndarray [shape=(n,)], float64
        Written: radians in [0, 2 pi).

    Returns
    -------
    phase : float
        Phase at the last sample.
    """
    turn = 2.0 * np.pi
    last = f0.shape[0] - 1
    scale = 65.0 / (highest - lowest)
    for first in range(0, phases.shape[0], 128):
        m = min((start + first) // 128, last)
        here = f0[m]
        rise = (f0[min(m + 1, last)] - here) / 128.0
        silent = here == 0.0 and rise == 0.0
        for i in range(first, min(first + 128, phases.shape[0])):
            if not silent:
                f = here + rise * (i - first)
                if f > 0.0:
                    phase += turn * (15.0 + (f - lowest) * scale) / sr
                    if not 0.0 <= phase < turn:
                        phase -= turn * np.floor(phase / turn)
            phases[i] = phase
    return phase


@kernel(
    "void(float64[::1], float64[:, ::1], int64, float64[:, ::1], float64[::1])",
    fastmath=frozenset({"contract"}),
)
def modulate(cosines, amplitudes, start, raw, energies):
    """Steps 4 to 6: the three raw waves and the energy of their sum in each hop.

    Parameters
    ----------
    cosines : np.ndarray [shape=(n,)], float64
        Cosine of the first harmonic's phase.
    amplitudes : np.ndarray [shape=(3, n_frames)], float64
    start : int
        First sample, a multiple of 128.
    raw : np.ndarray [shape=(3, n)], float64
        Written.
    energies : np.ndarray [shape=(ceil(n / 128),)], float64
        Written.
    """
    n = cosines.shape[0]
    last = amplitudes.shape[1] - 1
    for b in range(energies.shape[0]):
        first = b * 128
        m = min((start + first) // 128, last)
        after = min(m + 1, last)
        a1 = amplitudes[0, m]
        a2 = amplitudes[1, m]
        a3 = amplitudes[2, m]
        r1 = (amplitudes[0, after] - a1) / 128.0
        r2 = (amplitudes[1, after] - a2) / 128.0
        r3 = (amplitudes[2, after] - a3) / 128.0
        stop = min(first + 128, n)
        for i in range(first, stop):
            c = cosines[i]
            d = np.float64(i - first)
            raw[0, i] = (a1 + r1 * d) * c
            raw[1, i] = (a2 + r2 * d) * (2.0 * c * c - 1.0)
            raw[2, i] = (a3 + r3 * d) * ((4.0 * c * c - 3.0) * c)
        total = 0.0
        for i in range(first, stop):
            mix = raw[0, i] + raw[1, i] + raw[2, i]
            total += mix * mix
        energies[b] = total


@kernel(
    "float64(float64[:, ::1], float64[::1], float32[::1], int64, float64[::1])",
    fastmath=frozenset({"contract"}),
)
def apply_gain(waves, gain, y, start, energies):
    """Steps 6 and 7: scale `waves` in place; return the squared error of their sum.

    Parameters
    ----------
    waves : np.ndarray [shape=(3, n)], float64
        Raw waves of the samples from `start` on; scaled in place.
    gain : np.ndarray [shape=(n_frames,)], float64
        Interpolated, then limited to 10.
    y : np.ndarray [shape=(n,)], float32
        The same samples of the input.
    start : int
        First sample, a multiple of 128.
    energies : np.ndarray [shape=(ceil(n / 128),)], float64
        Written: the sum of squares of the sum of the waves in each hop.
    """
    n = y.shape[0]
    last = gain.shape[0] - 1
    squared = 0.0
    for first in range(0, n, 128):
        m = min((start + first) // 128, last)
        here = gain[m]
        rise = (gain[min(m + 1, last)] - here) / 128.0
        for i in range(first, min(first + 128, n)):
            g = here + rise * np.float64(i - first)
            g = min(10.0, g)
            waves[0, i] *= g
            waves[1, i] *= g
            waves[2, i] *= g
        total = 0.0
        for i in range(first, min(first + 128, n)):
            mix = waves[0, i] + waves[1, i] + waves[2, i]
            difference = np.float64(y[i]) - mix
            squared += difference * difference
            total += mix * mix
        energies[first // 128] = total
    return squared


@kernel(
    "int64(float64[:, ::1], int16[:, ::1])",
)
def quantise(waves, pcm):
    """Step 8: convert to 16 bits as libsndfile does, over 32 bits; return how many clipped."""
    clipped = 0
    for h in range(waves.shape[0]):
        for i in range(waves.shape[1]):
            x = waves[h, i] * 2147483648.0
            clipped += (x > 2147483648.0) | (x < -2147483648.0)
            x = np.floor(np.rint(x) * (1.0 / 65536.0))
            x = min(32767.0, x)
            x = max(-32768.0, x)
            pcm[h, i] = np.int16(x)
    return clipped
