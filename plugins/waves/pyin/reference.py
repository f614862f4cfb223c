"""The difference function of librosa, rounded step by step as librosa rounds it.

librosa correlates frames by an FFT of the input's own precision: in single precision an error of
about 1e-7 of the frame's energy, which decides where two numbers nearly tie.
"""

import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

_FFT_ROWS = 256
"""Frames transformed at a time, to bound the memory of their spectra."""


@cache
def _fft_functions() -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return SciPy's forward and inverse real FFT as functions of (frames, n).

    Only the compiled transform is loaded where possible, because importing `scipy.fft` takes as
    long as all the rest of a worker; elsewhere the public functions are imported. NumPy's
    transform was rejected: in single precision it rounds otherwise.
    """
    name = "scipy.fft._pocketfft.pypocketfft"
    if name not in sys.modules:
        root = importlib.util.find_spec("scipy")
        for location in (root.submodule_search_locations or []) if root is not None else []:
            folder = str(Path(location, "fft", "_pocketfft"))
            spec = importlib.machinery.PathFinder.find_spec("pypocketfft", [folder])
            if spec is not None and spec.loader is not None:
                try:
                    transform = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(transform)
                    return _from_transform(transform)
                except (ImportError, AttributeError, TypeError, ValueError, RuntimeError):
                    break
    import scipy.fft  # only where the transform alone cannot be loaded

    return (
        lambda frames, n: scipy.fft.rfft(frames, n=n, axis=-1),
        lambda spectra, n: scipy.fft.irfft(spectra, n=n, axis=-1),
    )


def _from_transform(transform: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Wrap SciPy's compiled transform and try it once."""

    def rfft(frames: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
        padded = np.zeros((frames.shape[0], n), dtype=frames.dtype)
        padded[:, : frames.shape[1]] = frames
        spectra: npt.NDArray[Any] = transform.r2c(padded, (1,), True, 0, None, 1)
        return spectra

    def irfft(spectra: npt.NDArray[Any], n: int) -> npt.NDArray[Any]:
        frames: npt.NDArray[Any] = transform.c2r(
            spectra.astype(np.result_type(spectra, np.complex64)), (1,), n, False, 2, None, 1
        )
        return frames

    probe = np.arange(8, dtype=np.float32)[np.newaxis]
    if not np.allclose(irfft(rfft(probe, 8), 8), probe):
        raise ImportError("the compiled transform of SciPy has another calling convention")
    return rfft, irfft


def reference_difference(
    frames: npt.NDArray[np.floating[Any]], min_period: int, max_period: int, out: FloatArray
) -> None:
    """Fill `out` with d' of `frames`, lags `min_period` to `max_period`, as librosa 0.11 rounds it.

    `frames` has shape (n_frames, frame_length), `out` (n_frames, max_period - min_period + 1).
    """
    for start in range(0, len(frames), _FFT_ROWS):
        chunk = slice(start, start + _FFT_ROWS)
        out[chunk] = _difference(np.ascontiguousarray(frames[chunk]), min_period, max_period)


def _difference(
    frames: npt.NDArray[np.floating[Any]], min_period: int, max_period: int
) -> FloatArray:
    rfft, irfft = _fft_functions()
    n_fft = next_fast_length(2 * frames.shape[1] - 1)
    spectra = rfft(frames, n_fft)
    power = spectra.real**2 + spectra.imag**2
    acf = irfft(power, n_fft)[:, : max_period + 1]
    energy = np.cumsum(np.square(frames[:, :max_period]), axis=1)
    energy[:, 0] = 0
    difference = 2 * (acf[:, 0:1] - acf[:, 1:]) - energy
    mean = np.cumsum(difference, axis=1) / np.arange(1, max_period + 1)
    ratio: FloatArray = difference[:, min_period - 1 :] / (
        mean[:, min_period - 1 :] + np.finfo(np.float64).tiny
    )
    return ratio


@cache
def next_fast_length(target: int) -> int:
    """Return the smallest product of powers of 2, 3 and 5 that is at least `target`."""
    best = 1 << max(target - 1, 0).bit_length()
    power5 = 1
    while power5 < best:
        power35 = power5
        while power35 < best:
            quotient = -(-target // power35)
            best = min(best, power35 << max(quotient - 1, 0).bit_length())
            power35 *= 3
        power5 *= 5
    return best
