"""How near the sum of the waves of a profile is to the voice."""

from math import log10

import numpy as np
import numpy.typing as npt

FLAT = 1e-6
"""Deviation below which a signal or an envelope counts as constant, full scale being 1."""


def likeness(
    y: npt.NDArray[np.float32],
    power: float,
    error: float,
    loudness: npt.NDArray[np.float64],
    mix_loudness: npt.NDArray[np.float64],
) -> dict[str, float]:
    """Return `rmse`, `nrmse`, `snr_db` and `envelope_correlation`; 0 where one is not defined.

    `power` and `error` are sums of squares, of the voice `y` and of what the sum of the waves is
    away from it; `loudness` is the root mean square of each frame of the voice, `mix_loudness` of
    that sum. nRMSE is over the standard deviation of the voice.
    """
    rmse = (error / y.size) ** 0.5
    deviation = max(power / y.size - float(y.mean()) ** 2, 0.0) ** 0.5
    a, b = loudness - loudness.mean(), mix_loudness - mix_loudness.mean()
    spread = float((a * a).sum() * (b * b).sum()) ** 0.5
    return {
        "rmse": rmse,
        "nrmse": rmse / deviation if deviation > FLAT else 0.0,
        "snr_db": 10 * log10(power / error) if power and error else 0.0,
        "envelope_correlation": float((a * b).sum()) / spread if spread > FLAT**2 else 0.0,
    }
