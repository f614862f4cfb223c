"""Pitch tracking by pYIN, equal to librosa's result at a fraction of its cost.

Conventions: arrays come first, all else is keyword-only and named as in `librosa.pyin`; time runs
along the only axis; frame m is centred on sample ``m * hop_length``; NaN marks unvoiced frames.

Why it is exact
---------------
*Candidates.* The difference function is computed in double precision with a bound on how far
librosa's single precision may be from it. Where every decision (trough or not, below which
threshold, in which bin) is farther from a tie than that bound, librosa decides the same. The other
frames, a few per cent, are computed again in librosa's own arithmetic. Frames whose voiced
probability is 1 up to rounding are summed in librosa's order, because exactly 1 is a case of its
own for the decoder.
*Path.* The decoder leaves out only moves that provably cannot win (`plugins.waves.viterbi`).
Logarithms are taken by the same NumPy functions, so that ties fall the same way.
What remains is the last bit of candidate probabilities, 1e-16 relative, in all other frames.

What a frame costs
------------------
At 8 kHz, with a hop of 128, lags up to 123 and 601 bins, the autocorrelation of a hop takes 15,872
multiplications at least; 20,480 are done, because rows are padded to whole vectors. The search
looks at about 20,000 of the 42,671 moves inside one band (librosa: at 1,444,804 moves), on speech;
frames that are voiced with probability exactly 1 take up to four times that. Candidates, logarithms
and the path back are below 5,000 operations. With vectors of eight and two operations a cycle that
is some 4,000 cycles or 1.3 us at 3 GHz; measured are 5 to 7 us, half of them in the search, whose
short loops wait for loads. Memory: the input, 40 bytes per candidate (about 6 per frame) and 25 MB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from plugins.waves.errors import PitchError
from plugins.waves.kernels import candidates, difference
from plugins.waves.pyin_priors import threshold_prior, trough_weights
from plugins.waves.pyin_reference import reference_difference
from plugins.waves.viterbi import Transitions, build_transitions, decode

FloatArray = npt.NDArray[np.float64]
AudioArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]

CHUNK_FRAMES = 512
"""Frames whose candidates are found at a time, so that their arrays stay in the cache."""


@dataclass(frozen=True)
class _Model:
    """All that depends on the parameters alone."""

    frame_length: int
    hop_length: int
    min_period: int
    max_period: int
    thresholds: FloatArray
    beta_probs: FloatArray
    beta_tail: FloatArray
    beta_sums: FloatArray
    weights: FloatArray
    no_trough_prob: float
    pitch: FloatArray
    freqs: FloatArray
    transitions: Transitions

    @property
    def shares_blocks(self) -> bool:
        """Whether frames can share the autocorrelations of their blocks."""
        lags = -(-(self.max_period + 1) // difference.LAG_MULTIPLE) * difference.LAG_MULTIPLE
        return (
            self.frame_length % self.hop_length == 0
            and self.hop_length % difference.BLOCK_MULTIPLE == 0
            and lags <= self.hop_length
        )


@dataclass(frozen=True)
class _Candidates:
    """Pitch candidates of consecutive frames: bins and probabilities, one frame after another."""

    bins: npt.NDArray[np.int32]
    probs: FloatArray
    counts: npt.NDArray[np.int32]
    voiced_prob: FloatArray


def pyin(
    y: AudioArray,
    *,
    fmin: float,
    fmax: float,
    sr: float = 22050,
    frame_length: int = 2048,
    hop_length: int | None = None,
    n_thresholds: int = 100,
    beta_parameters: tuple[float, float] = (2, 18),
    boltzmann_parameter: float = 2,
    resolution: float = 0.1,
    max_transition_rate: float = 35.92,
    switch_prob: float = 0.01,
    no_trough_prob: float = 0.01,
    fill_na: float | None = np.nan,
    center: bool = True,
    pad_mode: str = "constant",
) -> tuple[FloatArray, npt.NDArray[np.bool_], FloatArray]:
    """Track the fundamental frequency of a voice.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)], float32 or float64
        Mono audio, finite. Single precision is the fast case.
    fmin, fmax : float > 0
        Lowest and highest frequency in Hertz.
    sr : float > 0
        Sampling rate of `y` in Hertz.
    frame_length : int > 0
        Length of a frame in samples; more than one period of `fmin`, better two.
    hop_length : int > 0
        Samples between frames; ``frame_length // 4`` if None. Frames share their work if
        `hop_length` divides `frame_length`, is a multiple of 8 and exceeds the period of `fmin`.
    n_thresholds : int > 0
        Number of YIN thresholds between 0 and 1.
    beta_parameters : tuple of float > 0
        Shape of the beta distribution of the threshold.
    boltzmann_parameter : float > 0
        How much shorter periods are preferred.
    resolution : float in (0, 1)
        Width of a pitch bin in semitones.
    max_transition_rate : float > 0
        Greatest change of pitch in octaves per second.
    switch_prob : float in (0, 1)
        Probability of a switch between voiced and unvoiced from one frame to the next.
    no_trough_prob : float in [0, 1]
        Weight of the lowest trough under thresholds below it.
    fill_na : float or None
        Value of `f0` in unvoiced frames; None leaves the decoder's best guess.
    center : bool
        Whether frame m is centred on, rather than starts at, sample ``m * hop_length``.
    pad_mode : str
        How `numpy.pad` extends `y` if `center`.

    Returns
    -------
    f0 : np.ndarray [shape=(n_frames,)], float64
        Hertz; `fill_na` marks unvoiced frames.
    voiced_flag : np.ndarray [shape=(n_frames,)], bool
        Whether a frame is voiced.
    voiced_prob : np.ndarray [shape=(n_frames,)], float64
        Probability of each frame to be voiced, 0 to 1.

    Raises
    ------
    PitchError
        If `y` is empty, of another type or shape, or not finite; if a parameter is out of range.

    References
    ----------
    .. [1] Mauch and Dixon, "pYIN: A fundamental frequency estimator using probabilistic threshold
       distributions", ICASSP 2014.
    .. [2] De Cheveigne and Kawahara, "YIN, a fundamental frequency estimator for speech and
       music", JASA 111(4), 2002.
    """
    hop_length = frame_length // 4 if hop_length is None else hop_length
    _check_parameters(
        fmin, fmax, sr, frame_length, hop_length, n_thresholds, resolution, switch_prob,
        no_trough_prob, boltzmann_parameter,
    )  # fmt: skip
    model = _build_model(
        fmin, fmax, sr, frame_length, hop_length, n_thresholds, tuple(beta_parameters),
        boltzmann_parameter, resolution, max_transition_rate, switch_prob, no_trough_prob,
    )  # fmt: skip
    n_frames = _count_frames(y, frame_length, hop_length, center)

    found = [
        _track_chunk(y, start, min(CHUNK_FRAMES, n_frames - start), model, center, pad_mode)
        for start in range(0, n_frames, CHUNK_FRAMES)
    ]
    voiced_prob = np.concatenate([c.voiced_prob for c in found])
    offsets = np.zeros(n_frames + 1, dtype=np.int64)
    np.cumsum(np.concatenate([c.counts for c in found]), out=offsets[1:])
    states = decode(
        offsets,
        np.concatenate([c.bins for c in found]),
        np.concatenate([c.probs for c in found]),
        voiced_prob,
        model.transitions,
    )
    voiced_flag = states < model.freqs.size
    f0 = model.freqs[states % model.freqs.size]
    if fill_na is not None:
        f0[~voiced_flag] = fill_na
    return f0, voiced_flag, voiced_prob


def _check_parameters(
    fmin: float,
    fmax: float,
    sr: float,
    frame_length: int,
    hop_length: int,
    n_thresholds: int,
    resolution: float,
    switch_prob: float,
    no_trough_prob: float,
    boltzmann_parameter: float,
) -> None:
    """Refuse parameters outside the range in which pYIN is defined."""
    if not 0 < fmin < fmax <= sr / 2:
        raise PitchError(
            f"fmin={fmin!r}, fmax={fmax!r}: need 0 < fmin < fmax <= sr / 2 = {sr / 2} Hz"
        )
    if hop_length < 1:
        raise PitchError(f"hop_length={hop_length!r}: need at least 1 sample")
    if sr / fmin >= frame_length - 1:
        raise PitchError(
            f"fmin={fmin!r} Hz does not fit into frame_length={frame_length}: raise fmin to "
            f"{sr / (frame_length - 1):.3f} Hz or frame_length to {math.ceil(sr / fmin) + 2}"
        )
    if n_thresholds < 1:
        raise PitchError(f"n_thresholds={n_thresholds!r}: need at least 1")
    if not 0 < resolution < 1:
        raise PitchError(f"resolution={resolution!r}: need a value between 0 and 1 semitone")
    if not 0 < switch_prob < 1:
        raise PitchError(f"switch_prob={switch_prob!r}: need a value between 0 and 1")
    if not 0 <= no_trough_prob <= 1:
        raise PitchError(f"no_trough_prob={no_trough_prob!r}: need a value from 0 to 1")
    if not boltzmann_parameter > 0:
        raise PitchError(f"boltzmann_parameter={boltzmann_parameter!r}: need a value above 0")


@lru_cache(maxsize=8)
def _build_model(
    fmin: float,
    fmax: float,
    sr: float,
    frame_length: int,
    hop_length: int,
    n_thresholds: int,
    beta_parameters: tuple[float, float],
    boltzmann_parameter: float,
    resolution: float,
    max_transition_rate: float,
    switch_prob: float,
    no_trough_prob: float,
) -> _Model:
    """Compute the priors and transitions, once for each set of parameters."""
    min_period = math.floor(sr / fmax)
    max_period = min(math.ceil(sr / fmin), frame_length - 1)
    bins_per_semitone = math.ceil(1.0 / resolution)
    n_bins = int(np.floor(12 * bins_per_semitone * np.log2(fmax / fmin))) + 1
    width = round(max_transition_rate * 12 * hop_length / sr) * bins_per_semitone + 1
    if not 1 <= width <= n_bins or n_bins < 2:
        raise PitchError(
            f"max_transition_rate={max_transition_rate!r} octaves/s spans {width} of {n_bins} "
            "pitch bins between frames: use a lower rate, a shorter hop or a wider fmin to fmax"
        )
    if max_period - min_period < 2:
        raise PitchError(f"fmin={fmin!r} to fmax={fmax!r} Hz spans fewer than 3 lags: widen it")
    try:
        transitions = build_transitions(n_bins, width, switch_prob)
    except ValueError as error:
        raise PitchError(str(error)) from error
    thresholds = np.linspace(0, 1, n_thresholds + 1)
    beta_probs = threshold_prior(n_thresholds, beta_parameters)
    beta_tail = np.append(np.cumsum(beta_probs[::-1])[::-1], 0.0)
    used = np.flatnonzero(beta_probs)
    n_max = (max_period - min_period + 1) // 2 + 1
    return _Model(
        frame_length=frame_length,
        hop_length=hop_length,
        min_period=min_period,
        max_period=max_period,
        thresholds=thresholds,
        beta_probs=beta_probs,
        beta_tail=beta_tail,
        beta_sums=np.array([np.sum(beta_probs[:n]) for n in range(n_thresholds + 1)]),
        weights=trough_weights(n_max, boltzmann_parameter),
        no_trough_prob=no_trough_prob,
        pitch=np.array(
            [
                min_period,
                sr,
                fmin,
                12 * bins_per_semitone,
                n_bins,
                thresholds[used[-1] + 1] if used.size else 1.0,
            ]
        ),
        freqs=fmin * 2 ** (np.arange(n_bins) / (12 * bins_per_semitone)),
        transitions=transitions,
    )


def _count_frames(y: AudioArray, frame_length: int, hop_length: int, center: bool) -> int:
    """Check the samples and return the number of frames."""
    kind = getattr(y, "dtype", type(y).__name__)
    if kind not in (np.float32, np.float64):
        raise PitchError(f"samples are {kind}: convert them to a float32 array of full scale +-1")
    if y.ndim != 1:
        raise PitchError(f"samples have shape {y.shape}: mix the channels down to one axis")
    if y.size == 0:
        raise PitchError("there are 0 samples: need at least 1")
    finite = sum(np.count_nonzero(np.isfinite(y[i : i + 65536])) for i in range(0, y.size, 65536))
    if finite < y.size:
        raise PitchError(f"{y.size - finite} of {y.size} samples are NaN or infinite")
    padded = y.size + (2 * (frame_length // 2) if center else 0)
    if padded < frame_length:
        raise PitchError(
            f"{y.size} samples are fewer than frame_length={frame_length}: use center=True"
        )
    return 1 + (padded - frame_length) // hop_length


def _take(
    y: AudioArray, first: int, count: int, center: bool, frame_length: int, pad_mode: str
) -> AudioArray:
    """Return `count` samples from `first` on of the padded signal, zeros beyond it."""
    if center and pad_mode != "constant":
        y = np.pad(y, frame_length // 2, mode=pad_mode)  # type: ignore[call-overload]  # any mode
    elif center:
        first -= frame_length // 2
    taken = np.zeros(count, dtype=y.dtype)
    lo, hi = max(first, 0), min(first + count, y.size)
    if hi > lo:
        taken[lo - first : hi - first] = y[lo:hi]
    return taken


def _track_chunk(
    y: AudioArray, start: int, n_frames: int, model: _Model, center: bool, pad_mode: str
) -> _Candidates:
    """Find the candidates of `n_frames` frames from frame `start` on."""
    hop_length, frame_length = model.hop_length, model.frame_length
    n_lags = model.max_period - model.min_period + 1
    blocks = -(-frame_length // hop_length)
    samples = _take(
        y, start * hop_length, (n_frames + blocks) * hop_length, center, frame_length, pad_mode
    )
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
    return _Candidates(bins[taken], probs[taken], counts, voiced_prob)


def _find(
    cmnd: FloatArray,
    error: FloatArray,
    model: _Model,
    check: bool,
    results: list[npt.NDArray[Any]],
) -> None:
    """Call the candidate kernel with the model's tables."""
    candidates.find_candidates(
        cmnd, error, model.thresholds, model.beta_tail, model.beta_sums, model.weights,
        model.no_trough_prob, model.pitch, int(check), *results,
        np.empty((2, cmnd.shape[1]), dtype=np.int64), np.empty(cmnd.shape[1]),
    )  # fmt: skip


def _sum_like_librosa(
    sure: npt.NDArray[np.intp],
    cmnd: FloatArray,
    model: _Model,
    bins: npt.NDArray[np.int32],
    probs: FloatArray,
    counts: npt.NDArray[np.int32],
    voiced_prob: FloatArray,
) -> None:
    """Redo the probabilities of frames that are voiced with probability 1 up to rounding.

    The matrix has one row per trough and the product is one BLAS call on it, as in librosa, so
    that the terms are added in the same order.
    """
    prior = np.empty((model.weights.shape[1] + 1, model.beta_probs.size))
    troughs = np.empty(cmnd.shape[1], dtype=np.int64)
    for m in sure:
        x = cmnd[m]
        n = candidates.trough_prior(x, model.thresholds, model.weights, troughs, prior)
        voiced_prob[m] = candidates.place_candidates(
            x, prior[:n].dot(model.beta_probs), troughs, model.thresholds, model.beta_sums,
            model.no_trough_prob, model.pitch, bins[m], probs[m], counts, m,
        )  # fmt: skip
