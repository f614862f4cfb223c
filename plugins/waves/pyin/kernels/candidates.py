"""Compiled kernels of pYIN: from the difference function of frames to their pitch candidates.

Two kinds of frames are marked: *doubtful* ones, in which a decision (is this a trough, is it below
a threshold, which bin) is closer to a tie than a single precision reference rounds, and *sure*
ones, whose voiced probability is 1 up to rounding, so that the order of summation decides.
"""

import math

import numpy as np

from plugins.waves.jit import inline, kernel

DOUBTFUL = 1
"""Bit set in a frame's flags if a decision is within rounding of a tie."""
SURE = 2
"""Bit set in a frame's flags if its voiced probability is 1 up to rounding."""

_SURE_MARGIN = 1e-9


@inline()
def _find_troughs(x, troughs):
    """List the local minima of `x`: lower than the left neighbour, not above the right one."""
    last = x.shape[0] - 1
    count = 0
    if x[0] < x[1]:
        troughs[0] = 0
        count = 1
    for i in range(1, last):
        if x[i] < x[i - 1] and x[i] <= x[i + 1]:
            troughs[count] = i
            count += 1
    if x[last] < x[last - 1]:
        troughs[count] = last
        count += 1
    return count


@inline()
def _first_threshold_above(height, thresholds):
    """Index t of the first ``thresholds[t + 1] > height``; the number of thresholds if none."""
    n_thresholds = thresholds.shape[0] - 1
    t = 0
    if height > 0.0:
        t = int(min(height, 1.0) * n_thresholds)
    t = min(max(t - 1, 0), n_thresholds)
    while t < n_thresholds and height >= thresholds[t + 1]:
        t += 1
    return t


@inline()
def _parabolic_shift(x, i):
    """Offset of the vertex of the parabola through x[i - 1 .. i + 1]; 0 at an edge or if beyond."""
    if i == 0 or i == x.shape[0] - 1:
        return 0.0
    a = x[i + 1] + x[i - 1] - 2.0 * x[i]
    b = (x[i + 1] - x[i - 1]) / 2.0
    if abs(b) >= abs(a):
        return 0.0
    return -b / a


@inline()
def _place(x, troughs, probs, n_troughs, pitch, bins, values, counts, m):
    """Write the candidates of frame `m` in ascending order of bin; return the voiced probability.

    Of two candidates in one bin the one with the longer period stays; bins beyond the last are
    dropped. ``pitch`` is (min_period, sr, fmin, bins per octave, number of bins).
    """
    min_period = pitch[0]
    sr = pitch[1]
    fmin = pitch[2]
    bins_per_octave = pitch[3]
    n_bins = int(pitch[4])
    count = 0
    previous = n_bins
    total = 0.0
    for q in range(n_troughs - 1, -1, -1):
        if probs[q] == 0.0:
            continue
        period = min_period + troughs[q] + _parabolic_shift(x, troughs[q])
        exact = bins_per_octave * math.log2(sr / period / fmin)
        number = int(min(max(np.rint(exact), 0.0), float(n_bins)))
        if number >= n_bins or (count > 0 and number == previous):
            continue
        bins[count] = number
        values[count] = probs[q]
        total += probs[q]
        previous = number
        count += 1
    counts[m] = count
    return min(max(total, 0.0), 1.0)


@inline()
def _is_doubtful(x, error, troughs, probs, levels, n_troughs, lowest, thresholds, pitch):
    """Whether an error of up to `error` in `x` could change a decision that matters."""
    last = x.shape[0] - 1
    limit = max(pitch[5], x[troughs[lowest]]) if n_troughs > 0 else np.inf
    # Comparisons of neighbours that decide where a trough is.
    for i in range(last):
        tolerance = error[i] + error[i + 1]
        if abs(x[i + 1] - x[i]) <= tolerance and min(x[i], x[i + 1]) - tolerance <= limit:
            falls = i == 0 or x[i] < x[i - 1] + error[i - 1] + tolerance
            rises = i + 1 == last or x[i + 1] <= x[i + 2] + error[i + 2] + tolerance
            if falls or rises:
                return True
    bins_per_octave = pitch[3]
    for q in range(n_troughs):
        i = troughs[q]
        height = x[i]
        e = error[i]
        if height - e > limit:
            continue
        # Heights against the thresholds and against the lowest trough.
        level = levels[q]
        if level < thresholds.shape[0] - 1 and thresholds[level + 1] - height <= e:
            return True
        if level > 0 and height - thresholds[level] <= e:
            return True
        if q != lowest and level > 0 and height - e <= x[troughs[lowest]] + error[troughs[lowest]]:
            return True
        if probs[q] == 0.0:
            continue
        # The refined period against the edges of its pitch bin.
        slack = 1e-9
        shift = 0.0
        if 0 < i < last:
            wide = max(error[i - 1], max(e, error[i + 1]))
            a = abs(x[i + 1] + x[i - 1] - 2.0 * x[i])
            b = abs(x[i + 1] - x[i - 1]) / 2.0
            if abs(b - a) <= 6.0 * wide:
                return True
            if b < a:
                shift = _parabolic_shift(x, i)
                slack += wide * (1.0 + 4.0 * abs(shift)) / (a - 4.0 * wide)
        period = pitch[0] + i + shift
        exact = bins_per_octave * math.log2(pitch[1] / period / pitch[2])
        distance = abs(exact - math.floor(exact) - 0.5)
        if distance <= 1e-9 + bins_per_octave * 1.4427 * slack / (period - slack):
            return True
    return False


@kernel(
    "void(float64[:, ::1], float64[:, ::1], float64[::1], float64[::1], float64[::1],"
    " float64[:, ::1], float64, float64[::1], int64,"
    " int32[:, ::1], float64[:, ::1], int32[::1], float64[::1], uint8[::1],"
    " int64[:, ::1], float64[::1])",
)
def find_candidates(
    cmnd,
    error,
    thresholds,
    beta_tail,
    beta_sums,
    pmf,
    no_trough_prob,
    pitch,
    check,
    bins,
    values,
    counts,
    voiced_prob,
    flags,
    work,
    probs,
):
    """Find the pitch candidates of every frame and mark the frames that need more care.

    Parameters
    ----------
    cmnd, error : np.ndarray [shape=(n_frames, n_lags)], float64
        d' and the bound on its error; `error` is read only if `check`.
    thresholds : np.ndarray [shape=(n_thresholds + 1,)], float64
    beta_tail : np.ndarray [shape=(n_thresholds + 1,)], float64
        ``beta_tail[t]`` is the prior of all thresholds from t on.
    beta_sums : np.ndarray [shape=(n_thresholds + 1,)], float64
        ``beta_sums[t]`` is the prior of the first t thresholds.
    pmf : np.ndarray [shape=(n_max + 1, n_max)], float64
        ``pmf[n, k]``: Boltzmann weight of the k-th of n troughs.
    pitch : np.ndarray [shape=(6,)], float64
        min_period, sr, fmin, bins per octave, number of bins, height beyond which the prior is 0.
    check : bool
        Whether to mark doubtful frames.
    bins, values, counts, voiced_prob, flags
        Written per frame: candidate bins (ascending) and their probabilities, how many, the voiced
        probability and the flags.
    work, probs : np.ndarray [shapes=(2, n_lags), (n_lags,)]
        To work in.
    """
    n_frames, n_lags = cmnd.shape
    n_thresholds = thresholds.shape[0] - 1
    troughs, levels = work[0], work[1]
    for m in range(n_frames):
        x = cmnd[m]
        counts[m] = 0
        voiced_prob[m] = 0.0
        flags[m] = 0
        n_troughs = _find_troughs(x, troughs)
        # 1. The lowest trough and, for each, the first threshold above it.
        lowest = 0
        for q in range(n_troughs):
            levels[q] = _first_threshold_above(x[troughs[q]], thresholds)
            probs[q] = 0.0
            if x[troughs[q]] < x[troughs[lowest]]:
                lowest = q
        # 2. Thresholds between two levels see the same troughs: one prior, one weight for all.
        level = n_thresholds
        for q in range(n_troughs):
            level = min(level, levels[q])
        while level < n_thresholds:
            following = n_thresholds
            n_below = 0
            for q in range(n_troughs):
                if levels[q] <= level:
                    n_below += 1
                else:
                    following = min(following, levels[q])
            weight = beta_tail[level] - beta_tail[following]
            position = 0
            for q in range(n_troughs):
                if levels[q] <= level:
                    probs[q] += weight * pmf[n_below, position]
                    position += 1
            level = following
        # 3. Thresholds below every trough leave a little to the lowest one.
        if n_troughs > 0:
            probs[lowest] += no_trough_prob * beta_sums[levels[lowest]]
            total = _place(x, troughs, probs, n_troughs, pitch, bins[m], values[m], counts, m)
            voiced_prob[m] = total
            if abs(total - 1.0) < _SURE_MARGIN:
                flags[m] |= SURE
        if check and error[m, n_lags - 1] > 0.0:
            doubtful = _is_doubtful(
                x, error[m], troughs, probs, levels, n_troughs, lowest, thresholds, pitch
            )
            if doubtful:
                flags[m] |= DOUBTFUL


@kernel(
    "int64(float64[::1], float64[::1], float64[:, ::1], int64[::1], float64[:, ::1])",
)
def trough_prior(x, thresholds, pmf, troughs, prior):
    """Write the prior of every trough of `x` under every threshold; return the number of troughs.

    ``prior[q, t]`` is the Boltzmann weight of trough q among the troughs below threshold t.
    """
    n_troughs = _find_troughs(x, troughs)
    n_thresholds = thresholds.shape[0] - 1
    for q in range(n_troughs):
        for t in range(n_thresholds):
            prior[q, t] = 0.0
    for t in range(n_thresholds):
        n_below = 0
        for q in range(n_troughs):
            if x[troughs[q]] < thresholds[t + 1]:
                n_below += 1
        position = 0
        for q in range(n_troughs):
            if x[troughs[q]] < thresholds[t + 1]:
                prior[q, t] = pmf[n_below, position]
                position += 1
    return n_troughs


@kernel(
    "float64(float64[::1], float64[::1], int64[::1], float64[::1], float64[::1], float64,"
    " float64[::1], int32[::1], float64[::1], int32[::1], int64)",
)
def place_candidates(
    x,
    probs,
    troughs,
    thresholds,
    beta_sums,
    no_trough_prob,
    pitch,
    bins,
    values,
    counts,
    m,
):
    """Place candidates of given probability `probs`; return the voiced probability."""
    n_troughs = probs.shape[0]
    lowest = 0
    for q in range(n_troughs):
        if x[troughs[q]] < x[troughs[lowest]]:
            lowest = q
    if n_troughs > 0:
        level = _first_threshold_above(x[troughs[lowest]], thresholds)
        probs[lowest] += no_trough_prob * beta_sums[level]
    return _place(x, troughs, probs, n_troughs, pitch, bins, values, counts, m)
