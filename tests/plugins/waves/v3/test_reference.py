"""The steps of V3 spelled out: each is what its name says, and what librosa makes of it."""

import librosa
import numpy as np
import numpy.typing as npt
import pytest

from plugins.waves.v3 import reference as reference_v3


def test_the_frequency_map_spans_15_to_80_hz() -> None:
    """The lowest voiced frame maps to 15 Hz, the highest to 80 Hz, none to nothing."""
    voiced = np.array([100.0, 150.0, 200.0])
    f0 = np.array([0.0, 50.0, 100.0, 150.0, 200.0])

    assert reference_v3.map_frequency(f0, voiced).tolist() == [0.0, -17.5, 15.0, 47.5, 80.0]
    assert reference_v3.map_frequency(f0, voiced[:1]).tolist() == [0, 15 - 50 * 65, 15, 3265, 6515]
    assert reference_v3.map_frequency(f0, voiced[:0]).tolist() == [0.0] * 5


def test_values_between_frames_are_interpolated_and_the_last_is_held() -> None:
    """Frame values are met at multiples of the hop."""
    samples = reference_v3.to_samples(np.array([0.0, 1.0, 3.0]), 300)

    assert [samples[i] for i in (0, 64, 128, 192, 256, 299)] == [0, 0.5, 1, 2, 3, 3]


@pytest.mark.e2e
def test_rms_is_that_of_librosa() -> None:
    """The loudness of a frame is what librosa.feature.rms gives."""
    y = np.random.default_rng(3).uniform(-1, 1, 5_001).astype(np.float32)

    theirs = librosa.feature.rms(y=y, frame_length=512, hop_length=128)[0]
    np.testing.assert_allclose(reference_v3.rms(y), theirs, rtol=1e-5)
    assert reference_v3.rms(np.ones(1_024, np.float32))[4] == 1.0


@pytest.mark.e2e
def test_the_pitch_of_a_tone_is_found() -> None:
    """A tone is voiced at its pitch."""
    f0, voiced_flag = reference_v3.track_pitch(tone())

    np.testing.assert_allclose(f0[10:-10], 220, rtol=0.01)
    assert voiced_flag[10:-10].all()
    assert reference_v3.FMIN_HZ == pytest.approx(librosa.note_to_hz("C2"), rel=1e-12)
    assert reference_v3.FMAX_HZ == pytest.approx(librosa.note_to_hz("C7"), rel=1e-12)


def tone() -> npt.NDArray[np.float32]:
    """Return a second of a voice-like tone of 220 Hz."""
    t = np.arange(8000) / 8000
    partials = [np.sin(2 * np.pi * h * 220 * t) / h for h in (1, 2, 3)]
    y: npt.NDArray[np.float32] = (0.3 * np.sum(partials, axis=0)).astype(np.float32)
    return y
