"""Prior distributions of pYIN: over the YIN threshold and over the troughs below it.

They are the very numbers that librosa gets from SciPy, because the decoder treats a probability of
exactly 1 unlike anything below. Those of beta (2, 18) are kept as a table: importing SciPy for 100
constants would double the start of a worker.
"""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

BOLTZMANN = 2.0
"""How much shorter periods are preferred."""
_BETA_CDF = (
    # I_x(2, 18) at x = 0, 0.01, ...; 1 from there on (scipy.stats.beta.cdf, SciPy 1.17).
    0.0,
    0.015273761488896611,
    0.054615950034435104,
    0.1099550556837169,
    0.1750822631590913,
    0.24529279492938452,
    0.3170880697674956,
    0.3879294086282141,
    0.4560352987272883,
    0.5202153457415037,
    0.5797350211684026,
    0.6342061633358498,
    0.6834989309185446,
    0.7276715501652941,
    0.7669147530549755,
    0.8015082837194422,
    0.8317872640071742,
    0.8581165642996578,
    0.8808716299986966,
    0.9004244740113687,
    0.9171337668563828,
    0.9313381438152039,
    0.9433520073644374,
    0.9534632369233408,
    0.9619323302196656,
    0.9689925943748676,
    0.9748510828084593,
    0.9796900385917222,
    0.983668657970772,
    0.9869250311872337,
    0.9895781529733731,
    0.9917299235000887,
    0.9934670832392798,
    0.994863043133834,
    0.9959795854745597,
    0.9968684216661481,
    0.997572601218635,
    0.9981277723286026,
    0.9985632987366575,
    0.9989032405162188,
    0.999167208355319,
    0.9993711019788772,
    0.9995277438211415,
    0.9996474190571961,
    0.9997383327679001,
    0.9998069944475068,
    0.9998585393487838,
    0.9998969953598535,
    0.9999255032684011,
    0.9999464974283173,
    0.9999618530273438,
    0.9999730053799891,
    0.9999810459497281,
    0.9999867991452132,
    0.9999908833400576,
    0.9999937590350161,
    0.9999957666133381,
    0.9999971557315039,
    0.9999981080343308,
    0.9999987545808221,
    0.9999991891101745,
    0.9999994780610055,
    0.999999668076261,
    0.999999791576736,
    0.9999998708634015,
    0.9999999211088078,
    0.9999999525171946,
    0.9999999718684219,
    0.9999999836096739,
    0.9999999906187004,
    0.9999999947310814,
    0.9999999970998986,
    0.999999998437824,
    0.9999999991777627,
    0.9999999995778535,
    0.9999999997889972,
    0.9999999998975461,
    0.9999999999517919,
    0.9999999999780792,
    0.999999999990398,
    0.999999999995963,
    0.9999999999983777,
    0.9999999999993799,
    0.9999999999997758,
    0.9999999999999238,
    0.9999999999999759,
    0.999999999999993,
    0.9999999999999981,
    0.9999999999999996,
    0.9999999999999999,
)


BETA_PROBS: FloatArray = np.diff(np.append(_BETA_CDF, np.ones(101 - len(_BETA_CDF))))
"""Probability of each of 100 equally wide intervals of the threshold; sums to 1."""


def trough_weights(n_max: int) -> FloatArray:
    """Return the weight of the k-th of n troughs as ``weights[n, k]``, 0 where k >= n.

    The shape is (n_max + 1, n_max): no frame has more than `n_max` troughs.
    """
    k = np.arange(n_max)
    n = np.arange(n_max + 1)[:, np.newaxis]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (1 - np.exp(-BOLTZMANN)) / (1 - np.exp(-BOLTZMANN * n))
        weights: FloatArray = np.clip(scale * np.exp(-BOLTZMANN * k), 0, 1)
    weights[k >= n] = 0
    return weights
