"""Compiled kernel that finds the best path in the values that `search` has stored."""

import numpy as np

from plugins.waves.jit import inline, kernel

_NEG_INF = -np.inf


@inline()
def _move(to_target, target, source, half, otherwise):
    """Return the move from bin `source` to bin `target`, `otherwise` if it is outside the band."""
    i = source - target + half
    if 0 <= i <= 2 * half and to_target[target, i] > _NEG_INF:
        return to_target[target, i]
    return otherwise


@inline()
def _predecessor(
    state,
    t,
    offsets,
    bins,
    voiced,
    dense,
    floor,
    log_tiny,
    to_target,
    half,
    before,
    before_full,
    pad,
):
    """Return the lowest state at frame t - 1 from which `state` at frame t is reached best.

    Moves outside the band are looked at only if the best one inside is no better than `floor`.
    """
    n_bins = to_target.shape[1]
    is_unvoiced = state >= n_bins
    j = state - n_bins if is_unvoiced else state
    from_voiced = to_target[1] if is_unvoiced else to_target[0]
    from_unvoiced = to_target[0] if is_unvoiced else to_target[1]
    best = _NEG_INF
    origin = -1
    first, last = offsets[t - 1], offsets[t]
    lo, hi = max(0, j - half), min(n_bins, j + half + 1)
    if dense:
        for k in range(lo, hi):
            x = before_full[pad + k] + from_voiced[j, k - j + half]
            if x > best:
                best = x
                origin = k
    else:
        for q in range(first, last):
            k = int(bins[q])
            if lo <= k < hi:
                x = voiced[q] + from_voiced[j, k - j + half]
                if x > best:
                    best = x
                    origin = k
    for k in range(lo, hi):
        x = before[pad + k] + from_unvoiced[j, k - j + half]
        if x > best:
            best = x
            origin = n_bins + k
    if best > floor:
        return origin

    best = _NEG_INF
    if dense:
        for k in range(n_bins):
            x = before_full[pad + k] + _move(from_voiced, j, k, half, log_tiny)
            if x > best:
                best = x
                origin = k
    else:
        for q in range(first, last):
            k = int(bins[q])
            x = voiced[q] + _move(from_voiced, j, k, half, log_tiny)
            if x > best:
                best = x
                origin = k
    for k in range(n_bins):
        x = before[pad + k] + _move(from_unvoiced, j, k, half, log_tiny)
        if x > best:
            best = x
            origin = n_bins + k
    return origin


@kernel(
    "int64(int64, int64, int64, int64[::1], int32[::1], float64[::1], boolean[::1], float64[::1],"
    " float64, float64[:, :, ::1], int64, float64[:, ::1], float64[:, ::1], int64, int32[::1])",
)
def backtrack(
    start,
    stop,
    state,
    offsets,
    bins,
    voiced,
    dense,
    highest,
    log_tiny,
    to_target,
    half,
    unvoiced_rows,
    voiced_rows,
    pad,
    states,
):
    """Follow the best path from `state` at frame stop - 1 back to frame `start`.

    A negative `state` means the best final state of all. Returns the state at frame start - 1, or
    that at frame 0 if `start` is 0; the arrays are those of `forward`.
    """
    n_bins = to_target.shape[1]
    if state < 0:
        t = stop - 1
        best = _NEG_INF
        if dense[t]:
            for k in range(n_bins):
                if voiced_rows[t - start + 1, pad + k] > best:
                    best = voiced_rows[t - start + 1, pad + k]
                    state = k
        else:
            for q in range(offsets[t], offsets[t + 1]):
                if voiced[q] > best:
                    best = voiced[q]
                    state = bins[q]
        for k in range(n_bins):
            if unvoiced_rows[t - start + 1, pad + k] > best:
                best = unvoiced_rows[t - start + 1, pad + k]
                state = n_bins + k
    for t in range(stop - 1, start - 1, -1):
        states[t] = state
        if t == 0:
            break
        floor = highest[t - 1] + log_tiny
        before = unvoiced_rows[t - start]
        before_full = voiced_rows[t - start]
        state = _predecessor(
            state, t, offsets, bins, voiced, dense[t - 1], floor, log_tiny, to_target, half,
            before, before_full, pad,
        )  # fmt: skip
    return state
