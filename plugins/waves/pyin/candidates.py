"""Pitch candidates of frames, by librosa's own arithmetic where rounding could decide."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.waves.pyin.kernels import candidates, difference
from plugins.waves.pyin.model import NO_TROUGH_PROB, Model
from plugins.waves.pyin.priors import BETA_PROBS
from plugins.waves.pyin.reference import reference_difference

FloatArray = npt.NDArray[np.float64]
AudioArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """Pitch candidates of consecutive frames: bins and probabilities, one frame after another."""

    bins: npt.NDArray[np.int32]
    probs: FloatArray
    counts: npt.NDArray[np.int32]
    voiced_prob: FloatArray


def _take(y: AudioArray, first: int, count: int) -> AudioArray:
    """Return `count` samples from `first` on, zeros where there are none."""
    taken = np.zeros(count, dtype=y.dtype)
    lo, hi = max(first, 0), min(first + count, y.size)
    if hi > lo:
        taken[lo - first : hi - first] = y[lo:hi]
    return taken


def track_chunk(y: AudioArray, start: int, n_frames: int, model: Model) -> Candidates:
    """Find the candidates of `n_frames` frames from frame `start` on."""
    hop_length, frame_length = model.hop_length, model.frame_length
    n_lags = model.max_period - model.min_period + 1
    blocks = -(-frame_length // hop_length)
    first = start * hop_length - frame_length // 2
    samples = _take(y, first, (n_frames + blocks) * hop_length)
    windows: npt.NDArray[Any] = np.lib.stride_tricks.sliding_window_view(samples, frame_length)
    frames = windows[::hop_length][:n_frames]
    cmnd = np.empty((n_frames, n_lags))
    error = np.empty((n_frames, n_lags))
    fast = model.shares_blocks and samples.dtype == np.float32
    if fast:
        difference.difference_frames(
            samples.astype(np.float64), hop_length, blocks, model.min_period, model.max_period,
            cmnd, error,
            *difference.workspace(n_frames, hop_length, blocks, model.max_period),
        )  # fmt: skip
    else:
        reference_difference(frames, model.min_period, model.max_period, cmnd)

    width = n_lags // 2 + 2
    bins = np.empty((n_frames, width), dtype=np.int32)
    probs = np.empty((n_frames, width))
    counts = np.empty(n_frames, dtype=np.int32)
    voiced_prob = np.empty(n_frames)
    flags = np.empty(n_frames, dtype=np.uint8)
    results: list[npt.NDArray[Any]] = [bins, probs, counts, voiced_prob, flags]
    _find(cmnd, error, model, fast, results)
    doubtful = np.flatnonzero(flags & candidates.DOUBTFUL)
    if doubtful.size:
        again = np.empty((doubtful.size, n_lags))
        reference_difference(frames[doubtful], model.min_period, model.max_period, again)
        redone = [array[doubtful] for array in results]
        _find(again, again, model, False, redone)
        cmnd[doubtful] = again
        for array, part in zip(results, redone, strict=True):
            array[doubtful] = part
    sure = np.flatnonzero(flags & candidates.SURE)
    if sure.size:
        _sum_like_librosa(sure, cmnd, model, bins, probs, counts, voiced_prob)
    taken = np.arange(width) < counts[:, np.newaxis]
    return Candidates(bins[taken], probs[taken], counts, voiced_prob)


def _find(
    cmnd: FloatArray,
    error: FloatArray,
    model: Model,
    check: bool,
    results: list[npt.NDArray[Any]],
) -> None:
    """Call the candidate kernel with the model's tables."""
    candidates.find_candidates(
        cmnd, error, model.thresholds, model.beta_tail, model.beta_sums, model.weights,
        NO_TROUGH_PROB, model.pitch, int(check), *results,
        np.empty((2, cmnd.shape[1]), dtype=np.int64), np.empty(cmnd.shape[1]),
    )  # fmt: skip


def _sum_like_librosa(
    sure: npt.NDArray[np.intp],
    cmnd: FloatArray,
    model: Model,
    bins: npt.NDArray[np.int32],
    probs: FloatArray,
    counts: npt.NDArray[np.int32],
    voiced_prob: FloatArray,
) -> None:
    """Redo the probabilities of frames that are voiced with probability 1 up to rounding.

    The matrix has one row per trough and the product is one BLAS call on it, as in librosa, so
    that the terms are added in the same order.
    """
    prior = np.empty((model.weights.shape[1] + 1, BETA_PROBS.size))
    troughs = np.empty(cmnd.shape[1], dtype=np.int64)
    for m in sure:
        x = cmnd[m]
        n = candidates.trough_prior(x, model.thresholds, model.weights, troughs, prior)
        voiced_prob[m] = candidates.place_candidates(
            x, prior[:n].dot(BETA_PROBS), troughs, model.thresholds, model.beta_sums,
            NO_TROUGH_PROB, model.pitch, bins[m], probs[m], counts, m,
        )  # fmt: skip
