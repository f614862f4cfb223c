"""Compiled kernel of the exact Viterbi search over pYIN's pitch states: the recursion.

The states are `n_bins` voiced ones, then `n_bins` unvoiced ones. A move is possible within a band
of bins, with or without a switch of voicing; every other move has the logarithm `log_tiny`, as in
librosa. A row of values is padded on both sides with minus infinity: no loop tests for an edge.

Inner loops count in unsigned integers and write ``a if a > b else b`` for a maximum: numba's
checks for negative indices and for NaN would keep them scalar. The flags nnan and nsz let a maximum
be taken in any order, which does not change it.
"""

import numpy as np

from plugins.waves.jit import inline, kernel

LANES = 32
"""Target states are searched in blocks of this many."""
GROUP = 4
"""Source states are tried in groups of this many."""
NEAR_TIE = 1e-6
"""Moves this close to the best may be better or worse than it by rounding."""

_NEG_INF = -np.inf
_U0, _U1, _U2, _U3 = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(3)
_GROUP = np.uint64(GROUP)
_LANES = np.uint64(LANES)


@inline(fastmath=frozenset({"nnan", "nsz"}))
def _bracket(source, pad, to_target, half, lowest, highest, sums):
    """Find the lowest and highest source within `NEAR_TIE` of the best at every `LANES`-th target.

    The last entry is that of the last target.
    """
    n_bins = to_target.shape[0]
    width = to_target.shape[1]
    for a in range(lowest.shape[0]):
        j = min(a * 32, n_bins - 1)
        base = np.uint64(j) + pad - half
        row = to_target[j]
        top = _NEG_INF
        for i in range(np.uint64(width)):
            x = source[base + i] + row[i]
            sums[i] = x
            top = max(top, x)
        limit = top - 1e-6
        first = np.int64(width)
        last = np.int64(0)
        for i in range(width):
            x = np.int64(i) if sums[i] >= limit else np.int64(width)
            first = min(first, x)
            x = np.int64(i) if sums[i] >= limit else np.int64(0)
            last = max(last, x)
        lowest[a] = j - np.int64(half) + first
        highest[a] = j - np.int64(half) + last


@inline(fastmath=frozenset({"nnan", "nsz"}))
def _spread(source, pad, to_target, from_source, stride, half, lowest, highest, sums, out):
    """Raise ``out[j]`` to the best of ``source[k] + move(k, j)`` over the band, for every j.

    Best sources rise with the target, so those of a block lie between those at its two ends.
    """
    _bracket(source, pad, to_target, half, lowest, highest, sums)
    for b in range(lowest.shape[0] - 1):
        j = np.uint64(b) * _LANES
        target = pad + j
        for k in range(np.uint64(lowest[b]), np.uint64(highest[b + 1]) + _U1, _GROUP):
            v0 = source[pad + k]
            v1 = source[pad + k + _U1]
            v2 = source[pad + k + _U2]
            v3 = source[pad + k + _U3]
            m0 = k * stride + half + _LANES + j - k
            m1 = m0 + stride - _U1
            m2 = m1 + stride - _U1
            m3 = m2 + stride - _U1
            for i in range(_LANES):
                x0 = v0 + from_source[m0 + i]
                x1 = v1 + from_source[m1 + i]
                x2 = v2 + from_source[m2 + i]
                x3 = v3 + from_source[m3 + i]
                x0 = max(x0, x1)
                x2 = max(x2, x3)
                x0 = max(x0, x2)
                best = out[target + i]
                out[target + i] = max(best, x0)


@inline(fastmath=frozenset({"nnan", "nsz"}))
def _spread_few(first, last, bins, voiced, pad, from_source, stride, half, width, out):
    """Do as `_spread` from the candidates `first` to `last` - 1 alone."""
    for q in range(first, last):
        value = voiced[q]
        k = np.uint64(bins[q])
        target = pad + k - half
        move = k * stride + _LANES
        for i in range(width):
            x = value + from_source[move + i]
            best = out[target + i]
            out[target + i] = max(best, x)


@inline(fastmath=frozenset({"nnan", "nsz"}))
def _best_move(source, base, moves, best):
    """Return the greater of `best` and the best of ``source[base + i] + moves[i]``."""
    for i in range(np.uint64(moves.shape[0])):
        x = source[base + i] + moves[i]
        best = max(best, x)
    return best


@inline(fastmath=frozenset({"nnan", "nsz"}))
def _add_and_find_top(row, first, last, value, top):
    """Add `value` to ``row[first:last]``; return the greater of `top` and the greatest."""
    for j in range(first, last):
        x = row[j] + value
        row[j] = x
        top = max(top, x)
    return top


@kernel(
    "void(int64, int64, int64[::1], int32[::1], float64[::1], float64[::1], float64,"
    " boolean[::1], float64, float64[:, :, ::1], float64[:, ::1], int64, int64,"
    " float64[::1], float64[:, ::1], float64[:, ::1], float64[::1], int64[:, ::1], float64[::1])",
)
def forward(
    start,
    stop,
    offsets,
    bins,
    log_prob,
    log_unvoiced,
    log_init,
    dense,
    log_tiny,
    to_target,
    from_source,
    half_width,
    padding,
    voiced,
    unvoiced_rows,
    voiced_rows,
    highest,
    anchors,
    sums,
):
    """Run the recursion over frames start to stop - 1.

    Parameters
    ----------
    start, stop : int
        Frames to compute. Frame t is stored in row t - start + 1 of the rows; row 0 holds frame
        ``start - 1``.
    offsets, bins, log_prob : np.ndarray
        Voiced candidates of all frames: those of frame t are ``offsets[t]`` to ``offsets[t + 1]``.
    log_unvoiced : np.ndarray [shape=(n_frames,)], float64
        Log observation shared by the unvoiced states.
    log_init : float
        Log probability of each state before the first frame.
    dense : np.ndarray [shape=(n_frames,)], bool
        Frames in which voiced states without a candidate matter too.
    log_tiny : float
        Logarithm of an impossible event.
    to_target, from_source : np.ndarray
        Log moves as in `plugins.waves.pyin.viterbi.Transitions`.
    half_width, padding : int
        Bins in half a band; padding of a row.
    voiced : np.ndarray [shape=(n_candidates,)], float64
        Written: values of the candidates' states.
    unvoiced_rows, voiced_rows : np.ndarray [shape=(>= stop - start + 1, padded)], float64
        Written: values of all unvoiced states, and of all voiced ones in dense frames.
    highest : np.ndarray [shape=(n_frames,)], float64
        Written: the highest value of each frame.
    anchors, sums : np.ndarray [shapes=(2, ceil(n_bins / LANES) + 1), (to_target.shape[2],)]
        To work in.
    """
    n_bins = to_target.shape[1]
    end = padding + n_bins
    pad = np.uint64(padding)
    half = np.uint64(half_width)
    width = half + half + _U1
    stride = np.uint64(from_source.shape[1] // (n_bins + 4))
    stay_target, switch_target = to_target[0], to_target[1]
    stay_source, switch_source = from_source[0], from_source[1]
    low, high = anchors[0], anchors[1]
    for t in range(start, stop):
        row = unvoiced_rows[t - start + 1]
        full = voiced_rows[t - start + 1]
        begin = offsets[t]
        finish = offsets[t + 1]
        top = _NEG_INF
        row[:padding] = _NEG_INF
        row[end:] = _NEG_INF
        if dense[t]:
            full[:padding] = _NEG_INF
            full[end:] = _NEG_INF
        if t == 0:
            row[padding:end] = log_init
            if dense[t]:
                full[padding:end] = log_init
            for q in range(begin, finish):
                voiced[q] = log_prob[q] + log_init
        else:
            before = unvoiced_rows[t - start]
            before_full = voiced_rows[t - start]
            first = offsets[t - 1]
            floor = highest[t - 1] + log_tiny
            row[padding:end] = floor
            _spread(before, pad, stay_target, stay_source, stride, half, low, high, sums, row)
            if dense[t - 1]:
                _spread(
                    before_full, pad, switch_target, switch_source, stride, half,
                    low, high, sums, row,
                )  # fmt: skip
            else:
                _spread_few(
                    first, begin, bins, voiced, pad, switch_source, stride, half, width, row
                )
            for q in range(begin, finish):
                j = np.uint64(bins[q])
                base = pad + j - half
                best = _best_move(before, base, switch_target[j], floor)
                if dense[t - 1]:
                    best = _best_move(before_full, base, stay_target[j], best)
                else:
                    for p in range(first, begin):
                        i = np.int64(bins[p]) - np.int64(bins[q]) + half_width
                        if 0 <= i <= 2 * half_width:
                            best = max(best, voiced[p] + stay_target[j, i])
                voiced[q] = log_prob[q] + best
            if dense[t]:
                full[padding:end] = floor
                _spread(
                    before, pad, switch_target, switch_source, stride, half,
                    low, high, sums, full,
                )  # fmt: skip
                if dense[t - 1]:
                    _spread(
                        before_full, pad, stay_target, stay_source, stride, half,
                        low, high, sums, full,
                    )  # fmt: skip
                else:
                    _spread_few(
                        first, begin, bins, voiced, pad, stay_source, stride, half, width, full
                    )
        top = _add_and_find_top(row, pad, np.uint64(end), log_unvoiced[t], top)
        if dense[t]:
            top = _add_and_find_top(full, pad, np.uint64(end), log_tiny, top)
            for q in range(begin, finish):
                full[padding + bins[q]] = voiced[q]
        for q in range(begin, finish):
            top = max(top, voiced[q])
        highest[t] = top
