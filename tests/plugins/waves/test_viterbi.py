"""The decoder returns the path of a full search, ties included."""

import librosa
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.waves.viterbi import build_transitions, decode, local_transition

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


@settings(deadline=None, max_examples=150, print_blob=True, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32 - 1),
    n_bins=st.sampled_from([8, 31, 64, 97, 150]),
    width=st.sampled_from([1, 2, 3, 6, 7]),
    switch=st.sampled_from([0.01, 0.3, 0.5]),
    certain=st.sampled_from([0.0, 0.2, 0.9]),
    levels=st.sampled_from([2, 8, 1000]),
    block_frames=st.sampled_from([1, 7, 2048]),
    piece_frames=st.sampled_from([1, 3, 80]),
)
def test_any_observations(
    seed: int,
    n_bins: int,
    width: int,
    switch: float,
    certain: float,
    levels: int,
    block_frames: int,
    piece_frames: int,
) -> None:
    """Random observations, many of them equal or exactly 1, give the path of the full search."""
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
    expected = full_search(frames, voiced_prob, n_bins, width, switch)

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


@pytest.mark.parametrize(("n_bins", "width"), [(601, 71), (600, 71), (100, 22), (71, 71), (9, 1)])
def test_transition_is_librosas(n_bins: int, width: int) -> None:
    """The transition matrix is librosa's to the last bit."""
    expected = librosa.sequence.transition_local(n_bins, width, window="triangle", wrap=False)

    np.testing.assert_array_equal(local_transition(n_bins, width), expected)
