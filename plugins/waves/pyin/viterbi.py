"""Exact Viterbi decoding of pYIN's hidden Markov model, without visiting every pair of states.

librosa searches all ``(2 * n_bins) ** 2`` moves between two frames: 1.4 million for 601 bins. This
module returns the same path, ties included, from the moves inside the bands. That is not a
heuristic; each shortcut is a bound that holds for every input:

Moves outside the band
    all have the same logarithm, `LOG_TINY` (about -708.4, since librosa adds the smallest normal
    number to a probability of 0). The best of them starts at the best state of the frame, so one
    number per frame, ``highest + LOG_TINY``, stands for all. If that state is inside the band of
    the target, its move there is better by hundreds, and the number changes nothing.
Voiced states without a candidate
    have observation 0, hence `LOG_TINY`. The unvoiced state of the same bin has the same
    predecessors at costs that differ by at most r = log((1 - switch) / switch), and its
    successors too. As long as its observation exceeds ``LOG_TINY + 2 r`` it is better by a margin
    everywhere, so the voiced state is never on the best path. Only where the voiced
    probability is exactly 1 the unvoiced observation is `LOG_TINY` too: those frames are *dense*
    and keep all voiced states.
Distant moves
    within the band. The logarithm of a triangle is concave and a source's normalisation is the
    same for all its targets, so the matrix of sums has the Monge property: if source k is worse
    than some k' > k by more than e at target j, it is worse by more than e at every target above
    j. Hence the sources that can win anywhere in a block of targets lie between the lowest
    near-best source of its first target and the highest one of the next block's first target.
    Near-best means within `NEAR_TIE`, far more than rounding can move a sum.

A sum is rounded as librosa rounds it, one addition per move and one per observation, in the same
order on the same table of logarithms. Only values are kept; the predecessors are found again along
the best path, lowest state first among equals. Long inputs are decoded in blocks: a first pass
keeps the first row of each block, a second pass recomputes the blocks from the last to the first.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plugins.waves.pyin.kernels import GROUP, LANES, backtrack, forward

FloatArray = npt.NDArray[np.float64]

TINY = float(np.finfo(np.float64).tiny)
LOG_TINY = float(np.log(np.float64(0.0) + TINY))
"""Logarithm of an impossible event, as librosa has it."""

MARGIN = 1.0
"""Bounds on log values must hold by this much, far above any rounding."""

BLOCK_FRAMES = 2048
"""Frames whose values are kept at a time (about 12 MB)."""

PIECE_FRAMES = 80
"""Frames that one call of the search takes, about 0.4 ms: between two calls it yields the core."""


@dataclass(frozen=True)
class Transitions:
    """Log probabilities of the moves inside the bands, arranged for the kernels.

    Outside the band the entries are minus infinity.

    Attributes
    ----------
    n_bins : int
        Pitch bins; states are `n_bins` voiced ones, then `n_bins` unvoiced ones.
    half : int
        A move spans at most this many bins.
    pad : int
        Padding of a row of values on either side.
    to_target : np.ndarray [shape=(2, n_bins, >= 2 * half + 1)], float64
        Moves (0 without, 1 with a switch of voicing) by target, then source - target + half.
    from_source : np.ndarray [shape=(2, (n_bins + GROUP) * stride)], float64
        The same by source, then target - source + half + LANES.
    voicing_ratio : float
        Largest difference between a move with and without a switch of voicing.
    """

    n_bins: int
    half: int
    pad: int
    to_target: FloatArray
    from_source: FloatArray
    voicing_ratio: float


def triangle_window(width: int) -> FloatArray:
    """Return the symmetric triangle of `width` points without zeros at its ends."""
    n = np.arange(1, (width + 1) // 2 + 1)
    if width % 2 == 0:
        rise = (2 * n - 1.0) / width
        return np.concatenate([rise, rise[::-1]])
    rise = 2 * n / (width + 1.0)
    return np.concatenate([rise, rise[-2::-1]])


def local_transition(n_bins: int, width: int) -> FloatArray:
    """Return the row-normalised triangular transition matrix between pitch bins.

    Row sums are taken over whole rows: where a nonzero entry stands decides how it is rounded.
    """
    window = triangle_window(width)
    half = width // 2
    # Where librosa's centring and rolling of the window leave its middle.
    shift = (n_bins - width) // 2 + half + n_bins // 2 + 1
    matrix = np.zeros((n_bins, n_bins))
    for i in range(n_bins):
        columns = (np.arange(width) - half + shift + i) % n_bins
        matrix[i, columns] = window
        matrix[i, min(n_bins, i + half + 1) :] = 0
        matrix[i, : max(0, i - half)] = 0
    matrix /= matrix.sum(axis=1, keepdims=True)
    return matrix


def build_transitions(n_bins: int, width: int, switch_prob: float) -> Transitions:
    """Arrange the moves of a model with `n_bins` bins and bands of `width` bins."""
    local = local_transition(n_bins, width)
    stay_prob = 1 - switch_prob
    half = width // 2
    stride = _round_up(2 * (half + LANES) + 1, 8)
    to_target = np.full((2, n_bins, _round_up(2 * half + 1, 8)), -np.inf)
    from_source = np.full((2, n_bins + GROUP, stride), -np.inf)
    for voicing, prob in enumerate((stay_prob, 1 - stay_prob)):
        log_move = np.where(local > 0, np.log(prob * local + TINY), -np.inf)
        for d in range(-half, half + 1):
            source = np.arange(max(0, -d), min(n_bins, n_bins - d))
            moves = log_move[source, source + d]
            to_target[voicing, source + d, half - d] = moves
            from_source[voicing, source, half + LANES + d] = moves
    return Transitions(
        n_bins=n_bins,
        half=half,
        pad=_round_up(half + LANES + GROUP + 8, LANES),
        to_target=to_target,
        from_source=from_source.reshape(2, -1),
        voicing_ratio=abs(float(np.log(stay_prob / (1 - stay_prob)))),
    )


def _round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def decode(
    offsets: npt.NDArray[np.int64],
    bins: npt.NDArray[np.int32],
    prob: FloatArray,
    voiced_prob: FloatArray,
    transitions: Transitions,
    block_frames: int = BLOCK_FRAMES,
    piece_frames: int = PIECE_FRAMES,
) -> npt.NDArray[np.int32]:
    """Return the most probable sequence of states.

    Parameters
    ----------
    offsets : np.ndarray [shape=(n_frames + 1,)], int64
        Candidates of frame t are ``offsets[t]`` to ``offsets[t + 1]`` of the next two arrays.
    bins : np.ndarray [shape=(n_candidates,)], int32
        Pitch bins of the candidates, strictly ascending within a frame.
    prob : np.ndarray [shape=(n_candidates,)], float64
        Their probabilities, above 0 and at most 1.
    voiced_prob : np.ndarray [shape=(n_frames,)], float64
        Probability of each frame to be voiced, 0 to 1.
    transitions : Transitions
        The moves.
    block_frames : int > 0
        Frames whose values are held in memory at a time.
    piece_frames : int > 0
        Frames after which the search yields the core to other processes.

    Returns
    -------
    states : np.ndarray [shape=(n_frames,)], int32
        Pitch bin if voiced; ``n_bins`` + pitch bin if unvoiced.
    """
    n_frames = voiced_prob.size
    n_bins = transitions.n_bins
    pad = transitions.pad
    log_prob = np.log(prob + TINY)
    log_unvoiced = np.log((1 - voiced_prob) / n_bins + TINY)
    dense = log_unvoiced <= LOG_TINY + 2 * transitions.voicing_ratio + MARGIN
    init = np.ones(2 * n_bins) / (2 * n_bins)
    log_init = float(np.log(init + TINY)[0])

    rows = min(n_frames, block_frames) + 1
    padded = 2 * pad + _round_up(n_bins, LANES)
    unvoiced_rows = np.empty((rows, padded))
    voiced_rows = np.empty((rows, padded))  # Only rows of dense frames are ever touched.
    voiced = np.empty(prob.size)
    highest = np.empty(n_frames)
    states = np.empty(n_frames, dtype=np.int32)
    anchors = np.empty((2, _round_up(n_bins, LANES) // LANES + 1), dtype=np.int64)
    sums = np.empty(transitions.to_target.shape[2])

    def run(start: int, stop: int) -> None:
        """Compute the values of frames start to stop - 1."""
        for first in range(start, stop, piece_frames):
            forward(
                first, min(first + piece_frames, stop), offsets, bins, log_prob, log_unvoiced,
                log_init, dense, LOG_TINY, transitions.to_target, transitions.from_source,
                transitions.half, pad, voiced, unvoiced_rows[first - start :],
                voiced_rows[first - start :], highest, anchors, sums,
            )  # fmt: skip

    starts = range(0, n_frames, block_frames)
    carried: list[tuple[FloatArray, FloatArray | None]] = []
    for start in starts:
        stop = min(start + block_frames, n_frames)
        if start > 0:
            unvoiced_rows[0] = unvoiced_rows[block_frames]
            if dense[start - 1]:
                voiced_rows[0] = voiced_rows[block_frames]
        carried.append(
            (
                unvoiced_rows[0].copy(),
                voiced_rows[0].copy() if start > 0 and dense[start - 1] else None,
            )
        )
        run(start, stop)
    state = -1
    for start, (unvoiced_row, voiced_row) in zip(reversed(starts), reversed(carried), strict=True):
        stop = min(start + block_frames, n_frames)
        if start != starts[-1]:
            unvoiced_rows[0] = unvoiced_row
            if voiced_row is not None:
                voiced_rows[0] = voiced_row
            run(start, stop)
        state = backtrack(
            start, stop, state, offsets, bins, voiced, dense, highest, LOG_TINY,
            transitions.to_target, transitions.half, unvoiced_rows, voiced_rows, pad, states,
        )  # fmt: skip
    return states
