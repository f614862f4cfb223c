"""Compiled kernel of YIN: the cumulative mean normalised difference of overlapping frames.

Neighbouring frames share all but one hop of samples, so each block of `hop_length` samples is
correlated once, in double precision, and summed into every frame around it.
"""

import numpy as np
import numpy.typing as npt

from plugins.waves.jit import inline, kernel

FloatArray = npt.NDArray[np.float64]

LAG_MULTIPLE = 32
"""Lag rows are padded to a multiple of this, so that the inner loops have no remainder."""
BLOCK_MULTIPLE = 8
"""A block of samples must be a multiple of this."""

_EPS32 = float(np.finfo(np.float32).eps)
_DIFFERENCE_ERROR = 30.0 * _EPS32
"""Bound on the reference's error in d(k), relative to the frame's energy."""
_SUM_ERROR = 16.0 * _EPS32
"""Bound on the reference's relative error in the running mean of d."""
_ENERGY_MIN = 1e-25
_ENERGY_MAX = 1e30
"""Outside these frame energies single precision squares are no longer normal numbers."""

# Inner loops count in unsigned integers: numba's check for negative indices would keep them scalar.
_U0, _U1, _U2, _U3, _U4, _U5, _U6, _U7, _U8, _U31, _U32 = (
    np.uint64(n) for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 31, 32)
)


@inline(fastmath=frozenset({"contract"}))
def _correlate_block(y, start, size, n_lags, scratch, inside, beyond):
    """Correlate ``y[start : start + size]`` with itself and with the block after it.

    ``inside[k]`` sums y[n] y[n + k] over the pairs within the block, ``beyond[k]`` over those that
    leave it. `scratch` holds block | zeros | next block, so that both sums run without a condition.
    """
    for n in range(size):
        scratch[n] = y[start + n]
        scratch[size + n] = 0.0
        scratch[size + size + n] = y[start + size + n]
    for k in range(n_lags):
        inside[k] = 0.0
        beyond[k] = 0.0
    for n in range(_U0, size, _U8):
        a0 = scratch[n]
        a1 = scratch[n + _U1]
        a2 = scratch[n + _U2]
        a3 = scratch[n + _U3]
        a4 = scratch[n + _U4]
        a5 = scratch[n + _U5]
        a6 = scratch[n + _U6]
        a7 = scratch[n + _U7]
        stop = min(n_lags, (size - n + _U31) // _U32 * _U32)
        for k in range(stop):
            i = n + k
            inside[k] += (
                a0 * scratch[i]
                + a1 * scratch[i + _U1]
                + a2 * scratch[i + _U2]
                + a3 * scratch[i + _U3]
                + a4 * scratch[i + _U4]
                + a5 * scratch[i + _U5]
                + a6 * scratch[i + _U6]
                + a7 * scratch[i + _U7]
            )
        first = _U0
        if size > n + _U7:
            first = (size - n - _U7) // _U32 * _U32
        for k in range(first, n_lags):
            i = size + n + k
            beyond[k] += (
                a0 * scratch[i]
                + a1 * scratch[i + _U1]
                + a2 * scratch[i + _U2]
                + a3 * scratch[i + _U3]
                + a4 * scratch[i + _U4]
                + a5 * scratch[i + _U5]
                + a6 * scratch[i + _U6]
                + a7 * scratch[i + _U7]
            )


@kernel(
    "void(float64[::1], int64, int64, int64, int64, float64[:, ::1], float64[:, ::1],"
    " float64[:, :, ::1], float64[::1], float64[:, ::1])",
    fastmath=frozenset({"contract"}),
)
def difference_frames(
    y,
    hop_length,
    blocks_per_frame,
    min_period,
    max_period,
    cmnd,
    error,
    sums,
    scratch,
    lags,
):
    """Fill `cmnd` with d' of consecutive frames, `error` with how far the reference may be off.

    Parameters
    ----------
    y : np.ndarray [shape=((n_frames + blocks_per_frame) * hop_length,)], float64
        Samples from the first frame on, one block more than the frames need.
    hop_length, blocks_per_frame : int
        A frame is `blocks_per_frame` blocks of `hop_length` samples.
    min_period, max_period : int
        Smallest and largest lag of `cmnd`, in samples; ``max_period < hop_length``.
    cmnd, error : np.ndarray [shape=(n_frames, max_period - min_period + 1)], float64
        Written: d' per frame and lag, and the bound on the error of single precision.
    sums : np.ndarray [shape=(2, n_frames + blocks_per_frame - 1, n_lags)], float64
        To work in; `n_lags` exceeds `max_period` and is a multiple of `LAG_MULTIPLE`.
    scratch, lags : np.ndarray [shapes=(3 * hop_length,), (3, n_lags)], float64
        To work in.
    """
    n_frames = cmnd.shape[0]
    n_blocks = n_frames + blocks_per_frame - 1
    n_lags = lags.shape[1]
    inside, total = sums[0], sums[1]
    for b in range(n_blocks):
        _correlate_block(
            y, np.uint64(b * hop_length), np.uint64(hop_length), np.uint64(n_lags), scratch,
            inside[b], total[b],
        )  # fmt: skip
        for k in range(n_lags):
            total[b, k] += inside[b, k]

    acf, d, mean = lags[0], lags[1], lags[2]
    for m in range(n_frames):
        for k in range(n_lags):
            acf[k] = inside[m + blocks_per_frame - 1, k]
        for r in range(blocks_per_frame - 1):
            for k in range(n_lags):
                acf[k] += total[m + r, k]
        energy = acf[0]
        if energy == 0.0:
            for i in range(cmnd.shape[1]):
                cmnd[m, i] = 0.0
                error[m, i] = 0.0
            continue
        # d(k) = 2 (acf(0) - acf(k)) - energy of the first k samples; librosa omits the last term
        # at k = 1.
        head = y[m * hop_length] * y[m * hop_length]
        running = 2.0 * (energy - acf[1])
        d[1] = running
        mean[1] = running
        for k in range(2, max_period + 1):
            sample = y[m * hop_length + k - 1]
            head += sample * sample
            d[k] = 2.0 * (energy - acf[k]) - head
            running += d[k]
            mean[k] = running
        reliable = _ENERGY_MIN < energy < _ENERGY_MAX
        for i in range(cmnd.shape[1]):
            k = min_period + i
            inverse = k / mean[k]
            ratio = d[k] * inverse
            bound = _DIFFERENCE_ERROR * energy * inverse
            cmnd[m, i] = ratio
            error[m, i] = bound + (bound + _SUM_ERROR) * abs(ratio)
            if not (reliable and mean[k] > 0.0):
                error[m, i] = np.inf


def workspace(
    n_frames: int, hop_length: int, blocks_per_frame: int, max_period: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the arrays in which `difference_frames` works."""
    n_lags = (max_period + LAG_MULTIPLE) // LAG_MULTIPLE * LAG_MULTIPLE
    return (
        np.empty((2, n_frames + blocks_per_frame - 1, n_lags)),
        np.empty(3 * hop_length),
        np.empty((3, n_lags)),
    )
