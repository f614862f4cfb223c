"""V3 against an oracle written from the design, on real speech and on signals with known truth."""

import itertools
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
import soundfile as sf

from backend.speech import PROFILES, create_engine
from plugins.waves import decompose_v3, wavefile
from plugins.waves.errors import AudioError
from tests import oracle

SR = decompose_v3.SR
LINES = (
    "Water.",
    "I am listening.",
    "The surface remembers every word.",
    "Hear it? Your voice comes back. Stay!",
    "Seven, or a hundred and three!",
)
UTTERANCES = list(itertools.product(PROFILES, range(len(LINES))))


def tone(f0_hz: float, duration_s: float, amplitude: float = 0.3) -> decompose_v3.Float32:
    """Return a voice-like tone with three harmonics."""
    t = np.arange(int(duration_s * SR)) / SR
    partials = [np.sin(2 * np.pi * h * f0_hz * t) / h for h in (1, 2, 3)]
    y: decompose_v3.Float32 = (amplitude * np.sum(partials, axis=0)).astype(np.float32)
    return y


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """Real speech: every line in every voice."""
    directory = tmp_path_factory.mktemp("speech")
    temporary = tmp_path_factory.mktemp("temporary")
    engine = create_engine("embedded", temporary=temporary)
    spoken: dict[tuple[str, int], Path] = {}
    for profile, n in UTTERANCES:
        path = directory / f"{profile}_{n}.wav"
        engine.generate_wav_to_file(LINES[n], profile, path)
        spoken[profile, n] = path
    return spoken


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


def signals() -> dict[str, decompose_v3.Float32]:
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


@pytest.mark.parametrize("name", signals())
def test_edges_are_within_one_step_of_the_oracle(name: str, tmp_path: Path) -> None:
    """Signals at the edges, too, are what the oracle makes of them, finite throughout."""
    y = signals()[name]
    expected = oracle.expect_signal(y, tmp_path / "scratch.wav")

    result = decompose_v3.decompose(y)

    assert result.waves.shape == (3, len(y))
    assert np.isfinite(result.waves).all()
    assert np.isfinite(result.rmse)
    assert 0 <= result.voiced_ratio <= 1
    for wave, pcm in zip(result.waves, expected.pcm, strict=True):
        ours, _ = wavefile.to_pcm16(wave)
        assert np.abs(ours.astype(int) - pcm.astype(int)).max() <= 1
    np.testing.assert_array_equal(result.mix, result.waves.sum(axis=0))
    assert result.rmse == pytest.approx(expected.rmse, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("n", [1, 2, 127, 2_205, 44_100, 44_101])
def test_resampling_is_that_of_librosa(rate: int, n: int) -> None:
    """Resampling gives librosa's samples and librosa's length, bit for bit."""
    y = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)

    resampled = decompose_v3.resample(y, rate)

    theirs = y
    if rate != SR:
        theirs = librosa.resample(y, orig_sr=rate, target_sr=SR, res_type="soxr_hq")
    np.testing.assert_array_equal(resampled, theirs)
    assert resampled.dtype == np.float32


def test_a_steady_pitch_gives_a_low_steady_wave() -> None:
    """A voice of one pitch moves the water at 15 Hz, times the number of the wave."""
    result = decompose_v3.decompose(tone(220, 1.5))

    middle = result.waves[:, 4_000:8_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(4_000), n=2**16))
    peaks_hz = spectrum.argmax(axis=1) * SR / 2**16
    assert result.voiced_ratio > 0.8
    assert peaks_hz[0] < 80
    np.testing.assert_allclose(peaks_hz[1:] / peaks_hz[0], [2, 3], rtol=0.05)


def test_the_frequency_map_spans_15_to_80_hz() -> None:
    """The lowest voiced frame maps to 15 Hz, the highest to 80 Hz, none to nothing."""
    voiced = np.array([100.0, 150.0, 200.0])
    f0 = np.array([0.0, 50.0, 100.0, 150.0, 200.0])

    assert decompose_v3.map_frequency(f0, voiced).tolist() == [0.0, -17.5, 15.0, 47.5, 80.0]
    assert decompose_v3.map_frequency(f0, voiced[:1]).tolist() == [0, 15 - 50 * 65, 15, 3265, 6515]
    assert decompose_v3.map_frequency(f0, voiced[:0]).tolist() == [0.0] * 5


def test_values_between_frames_are_interpolated_and_the_last_is_held() -> None:
    """Frame values are met at multiples of the hop."""
    samples = decompose_v3.to_samples(np.array([0.0, 1.0, 3.0]), 300)

    assert [samples[i] for i in (0, 64, 128, 192, 256, 299)] == [0, 0.5, 1, 2, 3, 3]


def test_rms_is_that_of_librosa() -> None:
    """The loudness of a frame is what librosa.feature.rms gives."""
    y = np.random.default_rng(3).uniform(-1, 1, 5_001).astype(np.float32)

    theirs = librosa.feature.rms(y=y, frame_length=512, hop_length=128)[0]
    np.testing.assert_allclose(decompose_v3.rms(y), theirs, rtol=1e-5)
    assert decompose_v3.rms(np.ones(1_024, np.float32))[4] == 1.0


def test_the_pitch_of_a_tone_is_found() -> None:
    """A tone is voiced at its pitch."""
    f0, voiced_flag = decompose_v3.track_pitch(tone(220, 1.0))

    np.testing.assert_allclose(f0[10:-10], 220, rtol=0.01)
    assert voiced_flag[10:-10].all()
    assert decompose_v3.FMIN_HZ == pytest.approx(librosa.note_to_hz("C2"), rel=1e-12)
    assert decompose_v3.FMAX_HZ == pytest.approx(librosa.note_to_hz("C7"), rel=1e-12)


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
    """Another rate, another engine and a file that is no WAV are refused with the value."""
    y: Any = tone(220, 0.1)

    with pytest.raises(ValueError, match="16000 Hz"):
        decompose_v3.decompose(y, 16_000)
    with pytest.raises(ValueError, match="'crepe'"):
        decompose_v3.decompose(y, engine="crepe")  # type: ignore[arg-type]
    with pytest.raises(AudioError, match="does not exist"):
        decompose_v3.decompose_audio(tmp_path / "missing.wav", tmp_path)
