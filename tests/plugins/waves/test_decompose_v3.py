"""V3 against an oracle written from the design, on real speech and on signals with known truth."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugins.waves import decompose_v3
from plugins.waves.audio import pcm16, resample
from plugins.waves.errors import AudioError
from plugins.waves.v3 import synthesis
from tests import oracle, stored
from tests.plugins.waves import signals
from tests.speech import UTTERANCES

SR = synthesis.PROCESSING_SR
Maker = Callable[[np.random.Generator, int], signals.Signal]


def tone(f0_hz: float, duration_s: float, amplitude: float = 0.3) -> decompose_v3.Float32:
    """Return a voice-like tone with three harmonics."""
    t = np.arange(int(duration_s * SR)) / SR
    partials = [np.sin(2 * np.pi * h * f0_hz * t) / h for h in (1, 2, 3)]
    voice = signals.coarse(np.sum(partials, axis=0))
    y: decompose_v3.Float32 = (amplitude * voice).astype(np.float32)
    return y


def assert_as_stored(y: decompose_v3.Float32, scratch: Path) -> decompose_v3.Decomposition:
    """Fail unless the waves of `y` are within one step of 16 bits of the oracle; return them."""
    expected, rmse = stored.waves(y, scratch)

    result = decompose_v3.decompose(y)

    for wave, pcm in zip(result.waves, expected, strict=True):
        ours, _ = pcm16.to_pcm16(wave)
        assert np.abs(ours.astype(int) - pcm.astype(int)).max() <= 1
    assert result.rmse == pytest.approx(rmse, rel=1e-5, abs=1e-9)
    return result


def test_speech_of_every_voice(utterances: list[npt.NDArray[np.float32]], tmp_path: Path) -> None:
    """Speech of all six voices gives waves within one step of the oracle's."""
    for y in utterances:
        assert np.abs(assert_as_stored(y, tmp_path / "scratch.wav").waves).max() > 0.01


@pytest.mark.e2e
@pytest.mark.parametrize(("profile", "line"), UTTERANCES)
def test_real_speech_is_within_one_step_of_the_oracle(
    profile: str, line: int, speech: dict[tuple[str, int], Path], tmp_path: Path
) -> None:
    """Every sample of every wave file is within 1 LSB of what the oracle writes."""
    wav = speech[profile, line]
    expected = oracle.expect(wav, tmp_path / "scratch.wav")

    y, sr, *waves, mix, rmse = decompose_v3.decompose_audio(wav, tmp_path / "out")

    np.testing.assert_array_equal(y, expected.y)
    assert sr == SR
    for n, (wave, pcm) in enumerate(zip(waves, expected.pcm, strict=True), start=1):
        path = tmp_path / f"out/{wav.stem}_v3_wave{n}.wav"
        written, rate = sf.read(path, dtype="int16")
        assert rate == SR
        assert np.abs(written.astype(int) - pcm.astype(int)).max() <= 1
        assert np.abs(np.asarray(wave) - expected.waves[n - 1]).max() < 1e-5
    assert sum(np.count_nonzero(pcm) for pcm in expected.pcm) > 1_000
    np.testing.assert_allclose(mix, np.sum(expected.waves, axis=0), atol=1e-5)
    assert rmse == pytest.approx(expected.rmse, rel=1e-5)


def edges() -> dict[str, decompose_v3.Float32]:
    """Return signals at the edges of what there is."""
    rng = np.random.default_rng(5)
    pause = np.zeros(3_000, np.float32)
    return {
        "one sample": np.array([0.5], np.float32),
        "one hop less one": tone(200, 127 / SR),
        "one hop": tone(200, 128 / SR),
        "shorter than a frame": tone(200, 300 / SR),
        "silence": np.zeros(4_000, np.float32),
        "full-scale DC": np.ones(4_000, np.float32),
        "denormals": np.full(4_000, 1e-42, np.float32),
        "noise": rng.uniform(-1, 1, 4_000).astype(np.float32),
        "steady tone": tone(220, 0.6),
        "beyond full scale": tone(220, 0.6, amplitude=5),
        "tone, pause, tone": np.concatenate([tone(110, 0.4), pause, tone(330, 0.4)]),
        "almost silent": tone(150, 0.5, amplitude=1e-5),
    }


@pytest.mark.parametrize("name", edges())
def test_edges_are_within_one_step_of_the_oracle(name: str, tmp_path: Path) -> None:
    """Signals at the edges, too, are what the oracle makes of them, finite throughout."""
    y = edges()[name]

    result = assert_as_stored(y, tmp_path / "scratch.wav")

    assert result.waves.shape == (3, len(y))
    assert np.isfinite(result.waves).all()
    assert np.isfinite(result.rmse)
    assert 0 <= result.voiced_ratio <= 1
    np.testing.assert_array_equal(result.mix, result.waves.sum(axis=0))


def test_a_steady_pitch_gives_a_low_steady_wave() -> None:
    """A voice of one pitch moves the water at 15 Hz, times the number of the wave."""
    result = decompose_v3.decompose(tone(220, 1.5))

    middle = result.waves[:, 4_000:8_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(4_000), n=2**16))
    peaks_hz = spectrum.argmax(axis=1) * SR / 2**16
    assert result.voiced_ratio > 0.8
    assert peaks_hz[0] < 80
    np.testing.assert_allclose(peaks_hz[1:] / peaks_hz[0], [2, 3], rtol=0.05)


def test_save_files_false_writes_nothing(tmp_path: Path) -> None:
    """decompose_audio returns everything and writes nothing if asked to."""
    sf.write(tmp_path / "in.wav", tone(220, 0.3), SR)

    y, sr, wave1, wave2, wave3, mix, rmse = decompose_v3.decompose_audio(
        tmp_path / "in.wav", tmp_path / "out", save_files=False
    )

    assert not (tmp_path / "out").exists()
    assert len(y) == len(wave1) == len(wave2) == len(wave3) == len(mix) == 2_400
    assert (sr, type(rmse)) == (SR, float)


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    """No samples, another engine and a file that is no WAV are refused."""
    with pytest.raises(ValueError, match="0 samples"):
        decompose_v3.decompose(np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="'crepe'"):
        decompose_v3.decompose(tone(220, 0.1), engine="crepe")  # type: ignore[arg-type]  # the point
    with pytest.raises(AudioError, match="does not exist"):
        decompose_v3.decompose_audio(tmp_path / "missing.wav", tmp_path)


def test_another_rate_is_resampled_first() -> None:
    """A voice at another rate gives the waves of the resampled voice."""
    y = np.repeat(tone(220, 0.5), 2)

    result = decompose_v3.decompose(y, 16_000)

    expected = decompose_v3.decompose(resample(y, 16_000, SR))
    assert len(result.y) == 4_000
    np.testing.assert_array_equal(expected.waves, result.waves)


def assert_same_waves(y: npt.NDArray[np.float32], scratch: Path) -> None:
    """Fail unless both forms of the result are within one step of 16 bits of the oracle."""
    expected = oracle.expect_signal(y, scratch)

    result = decompose_v3.decompose(y)
    pcm = decompose_v3.decompose_pcm16(y)

    converted = [pcm16.to_pcm16(wave) for wave in result.waves]
    np.testing.assert_array_equal(np.stack([samples for samples, _ in converted]), pcm.waves)
    assert np.abs(pcm.waves.astype(int) - expected.pcm.astype(int)).max() <= 1
    assert sum(count for _, count in converted) == pcm.clipped
    assert pcm.figures["rmse"] == pytest.approx(expected.rmse, abs=1e-6)


@pytest.mark.e2e
@settings(
    deadline=None,
    max_examples=40,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(signals.KINDS),
    seed=st.integers(0, 2**32 - 1),
    n=st.one_of(st.integers(1, 9000), st.sampled_from([1, 127, 128, 129, 512, 4096])),
    exponent=st.floats(-4, 0),
)
def test_any_signal_is_within_one_step_of_the_oracle(
    kind: Maker, seed: int, n: int, exponent: float, tmp_path: Path
) -> None:
    """Whatever the signal, its waves are the oracle's."""
    y = signals.make(kind, seed, n, 10**exponent).astype(np.float32)

    assert_same_waves(y, tmp_path / "scratch.wav")


@pytest.mark.e2e
@pytest.mark.parametrize("n", [32768, 32768 + 1, 32768 + 128, 65536 - 1, 65536 + 255])
def test_block_edges_leave_no_trace(n: int, tmp_path: Path) -> None:
    """Signals that end at or near the end of a block of samples give the oracle's waves."""
    y = signals.make(signals.gated, 3, n, 0.5).astype(np.float32)

    assert_same_waves(y, tmp_path / "scratch.wav")


@pytest.mark.sweep
def test_the_phase_does_not_drift_in_a_minute(tmp_path: Path) -> None:
    """Sixty seconds give the oracle's waves."""
    y = signals.make(signals.noisy_tone, 6, 60 * SR, 0.3).astype(np.float32)

    assert_same_waves(y, tmp_path / "scratch.wav")


def test_a_glide_speeds_the_wave_up_from_15_to_80_hz() -> None:
    """The voice's own range of pitch becomes the range of the water."""
    f0 = np.geomspace(100, 400, 4 * SR)
    y = (0.5 * np.sin(2 * np.pi * np.cumsum(f0) / SR)).astype(np.float32)

    wave = decompose_v3.decompose(y).waves[0]

    frequency = SR / (2 * np.diff(np.flatnonzero(np.diff(np.signbit(wave)))))
    assert frequency[3:8].mean() == pytest.approx(17, abs=3)
    assert frequency[-8:-3].mean() == pytest.approx(78, abs=5)


@pytest.mark.e2e
def test_the_engines_agree(utterances: list[npt.NDArray[np.float32]]) -> None:
    """The exact engine and the reference make the same files."""
    exact = decompose_v3.decompose_pcm16(utterances[0])
    reference = decompose_v3.decompose_pcm16(utterances[0], engine="librosa")

    assert np.abs(exact.waves.astype(int) - reference.waves.astype(int)).max() <= 1
    assert (exact.clipped, exact.voiced_ratio) == (reference.clipped, reference.voiced_ratio)
    assert exact.figures == pytest.approx(reference.figures, rel=1e-6)


@pytest.fixture
def broken_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let no kernel be compiled, as on a machine that numba does not know."""

    def fail() -> None:
        raise RuntimeError("no such target")

    decompose_v3.exact_problem.cache_clear()
    monkeypatch.setattr(synthesis, "load_kernels", fail)
    yield
    decompose_v3.exact_problem.cache_clear()


@pytest.mark.e2e
@pytest.mark.usefixtures("broken_compiler")
def test_where_nothing_can_be_compiled_librosa_does_the_work(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """One warning tells that the reference engine is used, and the waves are the same."""
    sf.write(tmp_path / "in.wav", tone(220, 0.3), SR)

    with caplog.at_level(logging.WARNING):
        engines = [decompose_v3.warm_up() for _ in range(3)]
        result: Any = decompose_v3.decompose_audio(tmp_path / "in.wav", tmp_path / "out")

    assert ["librosa"] * 3 == engines
    assert 1 == len(caplog.records)
    np.testing.assert_allclose(result[2], decompose_v3.decompose(result[0]).waves[0], atol=1e-6)
