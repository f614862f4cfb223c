"""Proposes notches and a gain that make a measured response flat, as `dishes.toml` has them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from plugins.playback.dishes import Notch
from plugins.playback.filters import notch_section
from plugins.playback.soundcheck.measuring import HERTZ, Array, Resonance, Response, resonances

MOST_GAIN_DB, DEEPEST_DB, FLAT_DB = 6.0, 30.0, 2.0
MOST_NOTCHES = 3
WIDEST = 1.8  # width of a notch over its frequency
POINTS = np.geomspace(HERTZ[0], HERTZ[-1], 240)  # in Hertz, 55 an octave
TARGETS = np.linspace(0.1, 0.9, 9)
"""Quantiles of the level that are tried: where a transducer is flat depends on what it is."""
SURE = 0.9  # coherence of a frequency that counts for the target
RATE_HZ = 48_000  # of the notches' filters, which are the same at any rate of a card


class Proposal(NamedTuple):
    """Notches, the band that they bring within 2 dB, and the gain for what they take away."""

    resonances: Sequence[Resonance]
    notches: tuple[Notch, ...]
    gain_db: float
    low_hz: float
    high_hz: float


def propose(response: Response) -> Proposal:
    """Return the notches that make the widest band of a response flat."""
    found = resonances(response)
    db, coherence = (np.interp(POINTS, HERTZ, one) for one in (response.db, response.coherence))
    levels = np.quantile(db[coherence > SURE], TARGETS)
    proposals = [_proposal(found, db, coherence, float(level)) for level in levels]
    return max(proposals, key=lambda one: one.high_hz / one.low_hz)


def notches_db(notches: Iterable[Notch], hertz: Array = POINTS) -> Array:
    """Return what the mixer's filters of notches do together at each of `hertz`, in dB."""
    decibels, z = np.zeros(len(hertz)), np.exp(-2j * np.pi * hertz / RATE_HZ)
    for notch in notches:
        pole, scale, direct = notch_section(notch, RATE_HZ)
        pair = scale / (1 - pole * z) + np.conj(scale) / (1 - np.conj(pole) * z)
        decibels += 20 * np.log10(np.abs(direct + pair / 2))
    return decibels


def _proposal(
    found: Sequence[Resonance], db: Array, coherence: Array, target_db: float
) -> Proposal:
    """Return the notches that are nearest to the inversion of a response, in the least squares.

    The inversion is limited to +6 dB and regularised by the coherence: a frequency that would need
    more, or that noise hides, does not count.
    """
    wanted_db = target_db - db
    weight = coherence * (wanted_db <= MOST_GAIN_DB)
    # the unknowns: the level, and of each notch the log of its frequency, its depth, its width
    unknowns = [(0.0, -12.0, 12.0)]
    for one in found[:MOST_NOTCHES]:
        log_hz, depth_db = np.log(one.hertz), min(one.over_db, DEEPEST_DB - 1)
        unknowns += [(log_hz, log_hz - 0.1, log_hz + 0.1), (depth_db, 0, DEEPEST_DB)]
        unknowns += [(1, 0.1, WIDEST)]

    def error_db(tried: Array) -> Array:
        error: Array = weight * (tried[0] - wanted_db + notches_db(_notches(tried)))
        return error

    start, lowest, highest = np.transpose(unknowns)
    best = least_squares(error_db, start, bounds=(lowest, highest), loss="soft_l1").x
    notches = tuple(Notch(*np.round(astuple(one), 1).tolist()) for one in _notches(best))
    level_db = target_db - float(best[0])
    is_flat = np.abs(db + notches_db(notches) - level_db) <= FLAT_DB
    runs = np.flatnonzero(np.diff(np.pad(is_flat, 1).astype(int))).reshape(-1, 2)
    first, end = runs[np.argmax(runs[:, 1] - runs[:, 0])] if len(runs) else (0, 1)
    gain_db = float(np.median(db[coherence > SURE])) - level_db
    gain_db = round(min(max(gain_db, 0.0), MOST_GAIN_DB), 1) if notches else 0.0
    return Proposal(found, notches, gain_db, float(POINTS[first]), float(POINTS[end - 1]))


def _notches(tried: Array) -> Iterator[Notch]:
    for log_hz, db, ratio in tried[1:].reshape(-1, 3):
        yield Notch(float(np.exp(log_hz)), float(db), float(np.exp(log_hz) * ratio))
