"""Pitch tracking by pYIN, equal to librosa's; README.md says why.

Arrays come first, all else is keyword-only and named as in `librosa.pyin`; time runs along the only
axis; frame m is centred on sample ``m * hop_length``; NaN marks unvoiced frames.
"""

import numpy as np
import numpy.typing as npt

from plugins.waves.errors import PitchError
from plugins.waves.pyin.candidates import AudioArray, FloatArray, track_chunk
from plugins.waves.pyin.model import build_model
from plugins.waves.pyin.viterbi import decode

CHUNK_FRAMES = 512
"""Frames whose candidates are found at a time, so that their arrays stay in the cache."""


def pyin(
    y: AudioArray,
    *,
    fmin: float,
    fmax: float,
    sr: float = 22050,
    frame_length: int = 2048,
    hop_length: int | None = None,
    resolution: float = 0.1,
    fill_na: float | None = np.nan,
) -> tuple[FloatArray, npt.NDArray[np.bool_], FloatArray]:
    """Track the fundamental frequency of a voice, as `librosa.pyin` by its other defaults.

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
    resolution : float in (0, 1)
        Width of a pitch bin in semitones.
    fill_na : float or None
        Value of `f0` in unvoiced frames; None leaves the decoder's best guess.

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
    model = build_model(fmin, fmax, sr, frame_length, hop_length, resolution)
    _check_samples(y)
    n_frames = 1 + (y.size + 2 * (frame_length // 2) - frame_length) // hop_length

    found = [
        track_chunk(y, start, min(CHUNK_FRAMES, n_frames - start), model)
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


def _check_samples(y: AudioArray) -> None:
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
