"""How near waves are to a voice: figures of known signals."""

import numpy as np
import pytest

from plugins.waves.v3 import Synthesis, reference
from plugins.waves.v3.likeness import likeness

TIMES = np.arange(8000) / 8000
TONE = (0.5 * np.sin(2 * np.pi * 200 * TIMES) * np.sin(np.pi * TIMES)).astype(np.float32)


def test_the_same_signal_has_no_distance() -> None:
    """No error, no finite SNR, the same envelope."""
    figures = reference.figures(TONE, TONE.astype(np.float64))

    assert (0, 0, 0) == (figures["rmse"], figures["nrmse"], figures["snr_db"])
    assert figures["envelope_correlation"] == pytest.approx(1)


def test_silence_is_as_far_as_the_voice_is_strong() -> None:
    """The distance is the voice's deviation, the SNR 0 dB; silence has no envelope to compare."""
    figures = reference.figures(TONE, np.zeros(TONE.size))

    assert figures["rmse"] == pytest.approx(TONE.std(), rel=1e-4)
    assert (1, 0, 0) == pytest.approx([figures[name] for name in list(figures)[1:]], abs=1e-4)


def test_half_the_voice_is_6_db() -> None:
    """Loudness does not count for the correlation."""
    figures = reference.figures(TONE, TONE.astype(np.float64) / 2)

    assert figures["nrmse"] == pytest.approx(0.5, rel=1e-4)
    assert figures["snr_db"] == pytest.approx(6.02, abs=0.01)
    assert figures["envelope_correlation"] == pytest.approx(1)


def test_what_is_not_defined_is_0() -> None:
    """Silence, and a constant, have neither deviation nor envelope."""
    for y in (np.zeros(300, np.float32), np.full(300, 0.5, np.float32)):
        even = np.ones(3)
        figures = likeness(y, float((y**2).sum()), 0.0, even, even)

        assert {"rmse": 0, "nrmse": 0, "snr_db": 0, "envelope_correlation": 0} == figures


def test_both_engines_have_the_same_figures(utterances: "list[np.ndarray]") -> None:
    """What is added up block by block is that of the whole waves, as they are before clipping."""
    for y in (*utterances, np.concatenate(utterances)):
        blocks = Synthesis(y)
        mix = np.concatenate([waves.sum(axis=0) for waves in blocks])

        assert blocks.figures() == pytest.approx(reference.figures(y, mix), rel=1e-5, abs=1e-6)
