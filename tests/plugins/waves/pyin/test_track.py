"""pYIN agrees with librosa, frame by frame and bit by bit where that is promised.

The quick tests compare with what librosa said once (`tests/stored.py`).
"""

import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plugins.waves.errors import PitchError
from plugins.waves.pyin import pyin
from plugins.waves.pyin import reference as pyin_reference
from plugins.waves.pyin.kernels import difference as kernels
from plugins.waves.pyin.priors import BETA_PROBS, trough_weights
from plugins.waves.v3.reference import FMAX_HZ, FMIN_HZ
from tests import oracle, stored
from tests.plugins.waves import signals

V3: dict[str, Any] = {"fmin": FMIN_HZ, "fmax": FMAX_HZ, "sr": 8000, "hop_length": 128}
EXACT = settings(
    deadline=None,
    max_examples=60,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
PROB_BOUND = 1e-12
"""How far rounding may move a voiced probability that is not 1."""
SWEEP_PARTS, SWEEP_SIGNALS = 6, 340
Tracked = tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.float64]]
Samples = npt.NDArray[np.floating[Any]]
Maker = Callable[[np.random.Generator, int], signals.Signal]


def track_twice(y: Samples, **parameters: Any) -> tuple[Tracked, Tracked]:
    """Return pitch, flags and probabilities by librosa and by us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected: Tracked = librosa.pyin(y, **parameters, **oracle.full_search())
    return expected, pyin(y, **parameters)


def assert_as_stored(y: Samples, *, guesses: bool = False) -> None:
    """Fail unless our pitch, flags and probabilities are those that librosa gave for V3.

    Another processor may round in another way, by far less than lies between two pitches.
    """

    def ask() -> npt.NDArray[np.float64]:
        return np.stack(track_twice(y, **V3, fill_na=None)[0])

    f0, voiced_flag, voiced_prob = stored.answer("pyin", ask, y, guesses=guesses)

    our_f0, our_flag, our_prob = pyin(y, **V3, fill_na=None)

    np.testing.assert_array_equal(our_flag, voiced_flag)
    compared = our_flag | guesses
    np.testing.assert_allclose(our_f0[compared], f0[compared], rtol=1e-9)
    np.testing.assert_allclose(our_prob, voiced_prob, rtol=0, atol=PROB_BOUND)


def assert_same(y: Samples, *, guesses: bool = False, **parameters: Any) -> None:
    """Fail unless our pitch, flags and probabilities equal librosa's.

    With `guesses` the decoder's pitch in unvoiced frames must be equal too. There, paths of equal
    probability are told apart by rounding alone; on speech they agree.
    """
    parameters = {**V3, **parameters, "fill_na": None}

    (f0, voiced_flag, voiced_prob), (our_f0, our_flag, our_prob) = track_twice(y, **parameters)

    np.testing.assert_array_equal(our_flag, voiced_flag)
    compared = voiced_flag | guesses
    np.testing.assert_array_equal(our_f0[compared], f0[compared])
    np.testing.assert_allclose(our_prob, voiced_prob, rtol=0, atol=PROB_BOUND)
    np.testing.assert_array_equal(our_prob == 1, voiced_prob == 1)


def test_speech_of_every_voice(utterances: list[npt.NDArray[np.float32]]) -> None:
    """Speech of all six voices gives librosa's pitch in every frame."""
    assert len(utterances) == 6
    for y in utterances:
        assert_as_stored(y, guesses=True)


@pytest.mark.e2e
def test_speech_to_the_last_bit(utterances: list[npt.NDArray[np.float32]]) -> None:
    """The same, bit by bit on this machine."""
    for y in utterances:
        assert_same(y, guesses=True)


@pytest.mark.parametrize("kind", signals.KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("seed", [1, 2])
def test_every_kind_of_signal(kind: Maker, seed: int) -> None:
    """Each kind of signal gives librosa's pitch in every frame."""
    assert_as_stored(signals.make_coarse(kind, seed, 9000, 0.5))


@pytest.mark.e2e
@EXACT
@given(
    kind=st.sampled_from(signals.KINDS),
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 12000),
    exponent=st.floats(-4, 0),
)
@example(kind=signals.clicks, seed=0, n=1, exponent=0.0)
@example(kind=signals.noise, seed=0, n=127, exponent=-4.0)
@example(kind=signals.whole_period_tone, seed=3, n=8000, exponent=0.0)
def test_any_signal(kind: Maker, seed: int, n: int, exponent: float) -> None:
    """Any signal of 1 to 12,000 samples and any level gives librosa's pitch in every frame."""
    assert_same(signals.make(kind, seed, n, 10**exponent).astype(np.float32))


@pytest.mark.e2e
@settings(EXACT, max_examples=25)
@given(
    kind=st.sampled_from(signals.KINDS),
    seed=st.integers(0, 2**32 - 1),
    parameters=st.fixed_dictionaries(
        {},
        optional={
            "hop_length": st.sampled_from([64, 100, 128, 160, 256, 512]),
            "frame_length": st.sampled_from([512, 1024, 1500, 2048]),
            "sr": st.sampled_from([8000, 11025, 16000, 22050]),
            "fmin": st.floats(90, 200),
            "fmax": st.floats(700, 2000),
            "resolution": st.sampled_from([0.1, 0.25, 0.3]),
        },
    ),
)
def test_any_parameters(kind: Maker, seed: int, parameters: dict[str, Any]) -> None:
    """Any parameters in range give librosa's pitch in every frame."""
    assert_same(signals.make(kind, seed, 9000, 0.5).astype(np.float32), **parameters)


@pytest.mark.e2e
@settings(EXACT, max_examples=10)
@given(kind=st.sampled_from(signals.KINDS), seed=st.integers(0, 2**32 - 1))
def test_double_precision(kind: Maker, seed: int) -> None:
    """Double precision input is tracked in double precision, as librosa does."""
    assert_same(signals.make(kind, seed, 6000, 0.5))


@pytest.mark.parametrize("exponent", [-30, -22, -18, -15, -12])
def test_vanishing_amplitude(exponent: int) -> None:
    """Signals whose squares leave the range of normal numbers are tracked as librosa does."""
    assert_as_stored(signals.make_coarse(signals.noisy_tone, 5, 6000, 10.0**exponent))


def test_a_pitch_jump_needs_every_move() -> None:
    """A jump between two tones voiced with probability 1 takes an impossible move, as in librosa.

    With nothing but moves inside the bands this path could not be found.
    """
    y = signals.make_coarse(signals.whole_period_jumps, 1, 24000, 0.9)
    _, _, voiced_prob = pyin(y, **V3)

    assert np.count_nonzero(voiced_prob == 1) > 20
    assert_as_stored(y)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", [signals.harmonics, signals.jumps, signals.whole_period_jumps])
def test_a_minute(kind: Maker) -> None:
    """Sixty seconds, more than one block of the decoder, give librosa's pitch in every frame."""
    assert_same(signals.make(kind, 4, 60 * 8000, 0.5).astype(np.float32))


@pytest.mark.sweep
@pytest.mark.parametrize("part", range(SWEEP_PARTS))
def test_sweep(part: int) -> None:
    """Of 2,040 signals in all, pitch and voicing differ nowhere; the counts are printed.

    Two things may differ by rounding: the voiced probability of frames that are not sure, by at
    most `PROB_BOUND`, and the decoder's guess in unvoiced frames, among paths of equal probability.
    """
    frames = voiced = flags = pitches = guesses = 0
    worst = 0.0
    failures = []
    for seed in range(part * SWEEP_SIGNALS, (part + 1) * SWEEP_SIGNALS):
        rng = np.random.default_rng(seed)
        kind = signals.KINDS[seed % len(signals.KINDS)]
        n, amplitude = int(rng.integers(1, 10000)), 10 ** rng.uniform(-4, 0)
        y = signals.make(kind, seed, n, amplitude).astype(np.float32)

        (f0, flag, prob), (our_f0, our_flag, our_prob) = track_twice(y, **V3, fill_na=None)

        differs = f0 != our_f0
        frames += flag.size
        voiced += int(np.count_nonzero(flag))
        flags += int(np.count_nonzero(flag != our_flag))
        pitches += int(np.count_nonzero(differs & flag & our_flag))
        guesses += int(np.count_nonzero(differs & ~flag & ~our_flag))
        worst = max(worst, float(np.abs(prob - our_prob).max()))
        wrong = (flag != our_flag) | (differs & flag) | ((prob == 1) != (our_prob == 1))
        if wrong.any():
            failures.append((kind.__name__, seed, n, amplitude))
    print(
        f"\nlibrosa {version('librosa')}, seeds {part * SWEEP_SIGNALS} to {seed}: "
        f"{SWEEP_SIGNALS} signals, {frames} frames ({voiced} voiced), {flags} flags and {pitches} "
        f"pitches differ, {guesses} guesses in unvoiced frames do; largest difference of the "
        f"voiced probability {worst:.1e}, bound {PROB_BOUND:g}"
    )

    assert failures == []
    assert worst <= PROB_BOUND


@pytest.mark.parametrize("kind", signals.KINDS, ids=lambda kind: kind.__name__)
def test_bound_on_single_precision(kind: Maker) -> None:
    """Librosa's difference function stays within half the bound that marks doubtful frames."""
    n_frames = 40
    y = signals.make(kind, 11, (n_frames + 16) * 128, 0.5).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(y, 2048)[::128][:n_frames]
    single, double, error = (np.empty((n_frames, 121)) for _ in range(3))

    pyin_reference.reference_difference(frames, 3, 123, single)
    kernels.difference_frames(
        y.astype(np.float64),
        128,
        16,
        3,
        123,
        double,
        error,
        *kernels.workspace(n_frames, 128, 16, 123),
    )

    known = np.isfinite(error)
    assert (np.abs(single - double)[known] <= error[known] / 2).all()


@pytest.mark.e2e
def test_the_prior_of_thresholds_is_scipys() -> None:
    """The stored distribution function is SciPy's to the last bit."""
    import scipy.stats  # takes a second

    expected = np.diff(scipy.stats.beta.cdf(np.linspace(0, 1, 101), 2, 18))

    np.testing.assert_array_equal(BETA_PROBS, expected)


@pytest.mark.e2e
def test_trough_weights_are_scipys() -> None:
    """The Boltzmann weights are SciPy's to the last bit."""
    import scipy.stats

    weights = trough_weights(62)

    for n in range(1, 63):
        expected = scipy.stats.boltzmann.pmf(np.arange(62), 2, n)
        np.testing.assert_array_equal(weights[n], expected)


@pytest.mark.parametrize(
    ("y", "parameters", "message"),
    [
        (np.zeros(0, np.float32), {}, "0 samples"),
        (np.zeros((2, 9), np.float32), {}, r"shape \(2, 9\)"),
        (np.zeros(9, np.int16), {}, "int16"),
        ([0.0], {}, "list"),
        (np.array([0, np.nan, np.inf], np.float32), {}, "2 of 3 samples"),
        (np.zeros(9, np.float32), {"fmin": 0.0}, "fmin=0.0"),
        (np.zeros(9, np.float32), {"fmax": 5000.0}, r"4000\.0 Hz"),
        (np.zeros(9, np.float32), {"fmin": 3.0}, "raise fmin to"),
        (np.zeros(9, np.float32), {"hop_length": 0}, "hop_length=0"),
        (np.zeros(9, np.float32), {"resolution": 1.0}, "resolution=1.0"),
        (np.zeros(9, np.float32), {"hop_length": 8000}, "hop_length=8000"),
    ],
)
def test_bad_input(y: Any, parameters: dict[str, Any], message: str) -> None:
    """Bad samples and parameters are refused with their value and what to do."""
    with pytest.raises(PitchError, match=message):
        pyin(y, **{**V3, **parameters})
