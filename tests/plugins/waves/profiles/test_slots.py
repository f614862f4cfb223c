"""Profile `slots` against its formulas, written with librosa."""

from pathlib import Path

import numpy as np
import pytest

from plugins.waves.audio import pcm16, reader
from plugins.waves.profiles import Voice, find, slots
from tests.speech import UTTERANCES

SR, HOP, N_FFT = 8000, 128, 512
BANDS = {1: (80, 100), 2: (50, 70), 3: (20, 40), 4: (20, 40), 5: (50, 70), 6: (80, 100)}


def by_librosa(y: "np.ndarray", dishes: list[int]) -> "np.ndarray":
    """Return the waves as the earlier version's formulas give them."""
    import librosa

    f0, voiced, _ = librosa.pyin(
        y, fmin=65.40639132514966, fmax=2093.004522404789, sr=SR, hop_length=HOP,
        fill_na=0.0,
    )  # fmt: skip
    spectrum = np.abs(librosa.stft(y.astype(np.float64), n_fft=N_FFT, hop_length=HOP))
    times, frames = np.arange(y.size) / SR, np.arange(f0.size) * HOP / SR
    pitch = np.interp(times, frames, f0)
    low, high = f0[voiced].min(), f0[voiced].max()
    waves = []
    for harmonic, dish in enumerate(dishes, start=1):
        lowest, highest = BANDS[dish]
        mapped = lowest + (pitch - low) / (high - low) * (highest - lowest)
        mapped[pitch <= 0] = 0
        bins = np.clip(np.rint(harmonic * f0 * N_FFT / SR).astype(int), 0, N_FFT // 2)
        magnitudes = np.where(voiced, spectrum[bins, np.arange(f0.size)], 0)
        amplitude = np.interp(times, frames, magnitudes) * 3 * 2 / N_FFT
        waves.append(amplitude * np.cos(np.cumsum(2 * np.pi * mapped / SR)))
    raw = np.stack(waves)
    rms = [
        librosa.feature.rms(y=one, frame_length=N_FFT, hop_length=HOP)[0]
        for one in (y.astype(np.float64), raw.sum(axis=0))
    ]
    scaled: np.ndarray = raw * np.clip(np.interp(times, frames, rms[0] / (rms[1] + 1e-8)), 0, 10)
    return scaled


@pytest.mark.e2e
@pytest.mark.parametrize(("slot_id", "dishes"), [(2, [2, 3]), (6, [6, 1]), (0, [1, 2, 3, 4, 5, 6])])
def test_waves_are_those_of_the_formulas(
    slot_id: int, dishes: list[int], speech: dict[tuple[str, int], Path]
) -> None:
    """Each sample is within one step of 16 bits."""
    y = reader.read(speech[UTTERANCES[slot_id]], rate=SR).samples
    voice = Voice(y, slot_id)

    waves = find("slots").make(voice, {})

    assert dishes == list(find("slots").targets(slot_id))
    for ours, theirs in zip(waves, by_librosa(y, dishes), strict=True):
        difference = pcm16.to_pcm16(ours)[0].astype(int) - pcm16.to_pcm16(theirs)[0]
        assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("slot_id", range(7))
def test_each_wave_is_in_the_band_of_its_dish(slot_id: int, utterances: "list[np.ndarray]") -> None:
    """Of the energy, nine tenths; what is left is where voiced stretches begin and end."""
    waves = slots.make(Voice(utterances[0], slot_id), {})

    for dish, wave in zip(slots.targets(slot_id), waves, strict=True):
        low, high = BANDS[dish]
        power = np.abs(np.fft.rfft(wave)) ** 2
        hertz = np.fft.rfftfreq(wave.size, 1 / SR)
        assert power[(hertz > low - 10) & (hertz < high + 10)].sum() > 0.9 * power.sum()


def test_silence_stays_silent() -> None:
    """Nothing voiced, nothing made, no number that is none."""
    waves = slots.make(Voice(np.zeros(SR, dtype=np.float32), 1), {})

    assert 0 == np.abs(waves).max()
