"""The decoder returns the path of a full search, ties included."""

import random
from collections.abc import Callable
from typing import Any

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.waves.pyin.viterbi import build_transitions, decode, local_transition
from tests import stored

FloatArray = npt.NDArray[np.float64]


def full_search(
    frames: list[dict[int, float]], voiced_prob: FloatArray, n_bins: int, width: int, switch: float
) -> npt.NDArray[np.int64]:
    """Decode by librosa's search over all pairs of states."""
    prob = np.zeros((2 * n_bins, len(frames)))
    for t, frame in enumerate(frames):
        for k, p in frame.items():
            prob[k, t] = p
        prob[n_bins:, t] = (1 - voiced_prob[t]) / n_bins
    transition = np.kron(
        librosa.sequence.transition_loop(2, 1 - switch),
        librosa.sequence.transition_local(n_bins, width, window="triangle", wrap=False),
    )
    p_init = np.ones(2 * n_bins) / (2 * n_bins)
    states: npt.NDArray[np.int64] = librosa.sequence.viterbi(prob, transition, p_init=p_init)
    return states.astype(np.int64)


CHOICES: dict[str, list[Any]] = {
    "n_bins": [8, 31, 64, 97, 150],
    "width": [1, 2, 3, 6, 7],
    "switch": [0.01, 0.3, 0.5],
    "certain": [0.0, 0.2, 0.9],
    "levels": [2, 8, 1000],
    "block_frames": [1, 7, 2048],
    "piece_frames": [1, 3, 80],
}
Ask = Callable[..., npt.NDArray[np.int64]]


def remembered(frames: list[dict[int, float]], *rest: Any) -> npt.NDArray[np.int64]:
    """Return what is kept of librosa's search."""
    prob = rest[0]
    return stored.answer(
        "viterbi", lambda: full_search(frames, *rest), prob, frames=frames, rest=rest[1:]
    )


def check(
    search: Ask, seed: int, n_bins: int, width: int, switch: float, certain: float, levels: int,
    block_frames: int, piece_frames: int,
) -> None:  # fmt: skip
    """Fail unless random observations, many equal or exactly 1, give the path of a full search."""
    rng = np.random.default_rng(seed)
    n_frames = int(rng.integers(1, 40))
    frames: list[dict[int, float]] = []
    for _ in range(n_frames):
        count = int(rng.integers(0, min(5, n_bins)))
        chosen = np.sort(rng.choice(n_bins, count, replace=False))
        weights = rng.integers(1, levels, count) if levels > 2 else np.ones(count)
        total = 1.0 if rng.random() < certain else rng.random()
        share = weights / weights.sum() * total if count else weights
        frames.append({int(k): float(p) for k, p in zip(chosen, share, strict=True)})
    voiced_prob = np.array([min(sum(frame.values()), 1.0) for frame in frames])
    expected = search(frames, voiced_prob, n_bins, width, switch)

    actual = decode(
        np.cumsum([0] + [len(frame) for frame in frames]).astype(np.int64),
        np.array([k for frame in frames for k in frame], dtype=np.int32),
        np.array([p for frame in frames for p in frame.values()], dtype=np.float64),
        voiced_prob,
        build_transitions(n_bins, width, switch),
        block_frames,
        piece_frames,
    )

    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("seed", range(20))
def test_some_observations(seed: int) -> None:
    """Random observations and sizes give the path of the full search."""
    draw = random.Random(seed)

    check(remembered, seed, **{name: draw.choice(values) for name, values in CHOICES.items()})


@pytest.mark.e2e
@settings(deadline=None, max_examples=150, print_blob=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    chosen=st.fixed_dictionaries({name: st.sampled_from(CHOICES[name]) for name in CHOICES}),
)
def test_any_observations(seed: int, chosen: dict[str, Any]) -> None:
    """Any of them do."""
    check(full_search, seed, **chosen)


@pytest.mark.e2e
@pytest.mark.parametrize(("n_bins", "width"), [(601, 71), (600, 71), (100, 22), (71, 71), (9, 1)])
def test_transition_is_librosas(n_bins: int, width: int) -> None:
    """The transition matrix is librosa's to the last bit."""
    expected = librosa.sequence.transition_local(n_bins, width, window="triangle", wrap=False)

    np.testing.assert_array_equal(local_transition(n_bins, width), expected)
