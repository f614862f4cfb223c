"""Steps 1 to 7 of V3, block by block: from a voice to its three waves."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from plugins.waves.jit import cache, loader
from plugins.waves.pyin import pyin
from plugins.waves.v3 import kernels
from plugins.waves.v3.likeness import likeness

PROCESSING_SR = 8000
"""Sampling rate of the analysis and of the waves in Hertz."""
HOP_LENGTH = kernels.HOP
"""Samples between frames."""
N_FFT = kernels.N_FFT
"""Length of a frame of spectrum and loudness in samples."""
N_WAVES = 3
FMIN = 65.40639132514966
"""C2 in Hertz."""
FMAX = 2093.004522404789
"""C7 in Hertz."""
AMPLITUDE_SCALE = 2 / N_FFT * N_WAVES
GAIN_FLOOR = 1e-8

BLOCK_SAMPLES = 256 * HOP_LENGTH
"""Samples synthesised at a time, so that their arrays stay in the cache."""
LOOKAHEAD = 2 * HOP_LENGTH
"""Samples by which the loudness at a block's end looks ahead."""

FloatArray = npt.NDArray[np.float64]
Pitch = tuple[FloatArray, npt.NDArray[np.bool_]]


def load_kernels() -> None:
    """Load the machine code of every kernel, compiling what is not cached.

    Raises KernelError if a trial of the kernels failed on this machine.
    """
    if (directory := cache.directory()) is not None:
        cache.check_not_refused(directory, cache.trial_name())
    for module in cache.MODULES:
        loader.load(module)


def track_pitch(y: npt.NDArray[np.float32]) -> Pitch:
    """Step 1: return f0 in Hertz, 0 where unvoiced, and the voiced flag, for each frame."""
    f0, voiced_flag, _ = pyin(
        y, fmin=FMIN, fmax=FMAX, sr=PROCESSING_SR, hop_length=HOP_LENGTH, fill_na=0.0
    )
    return f0, voiced_flag


class Synthesis:
    """Steps 2 to 7 for one voice of 8000 Hz, block by block; `pitch` is that of `track_pitch`."""

    def __init__(self, y: npt.NDArray[np.float32], pitch: Pitch | None = None) -> None:
        self.y = y
        self._squared_error = 0.0
        f0, voiced_flag = pitch or track_pitch(y)
        self.voiced_ratio = float(np.mean(voiced_flag))
        """Voiced frames over all frames, 0 to 1."""
        self._f0 = f0
        self._lowest, self._highest = _frequency_range(f0[voiced_flag])
        self._amplitudes = np.empty((N_WAVES, f0.size))
        window, cosine = _tables()
        kernels.harmonic_magnitudes(
            y, f0, window, cosine, PROCESSING_SR, self._amplitudes,
            np.empty(N_FFT), np.empty((2, 16)),
        )  # fmt: skip
        self._amplitudes *= AMPLITUDE_SCALE
        self._energies = np.zeros(f0.size + 1)
        kernels.block_energies(y, self._energies[: -(-y.size // HOP_LENGTH)])
        self._loudness = _rms(self._energies, np.zeros(2), f0.size)
        self._mix_energies = np.zeros(f0.size + 1)

    def figures(self) -> dict[str, float]:
        """Step 7: return how near the mix is to the voice, once all blocks have been taken."""
        mix_loudness = _rms(self._mix_energies, np.zeros(2), self._f0.size)
        power, error = float(self._energies.sum()), self._squared_error
        return likeness(self.y, power, error, self._loudness, mix_loudness)

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield the waves in blocks [shape=(3, n)] of up to `BLOCK_SAMPLES` samples."""
        n = self.y.size
        n_frames = self._f0.size
        before = np.zeros(2)  # Energy of the raw sum in the two hops before the block.
        phase = 0.0
        for start in range(0, n, BLOCK_SAMPLES):
            stop = min(start + BLOCK_SAMPLES, n)
            ahead = min(stop + LOOKAHEAD, n)
            raw, energies, phase = self._raw_waves(start, stop, ahead, phase)
            first = start // HOP_LENGTH
            hops = -(-(stop - start) // HOP_LENGTH)
            frames = min(hops + 1, n_frames - first)
            gain = self._loudness[first : first + frames]
            gain = gain / (_rms(energies, before, frames) + GAIN_FLOOR)
            before = energies[hops - 2 : hops] if hops > 1 else np.append(before[1:], energies[0])
            waves = np.ascontiguousarray(raw[:, : stop - start])
            mixed = self._mix_energies[first : first + hops]
            self._squared_error += kernels.apply_gain(waves, gain, self.y[start:stop], 0, mixed)
            yield waves

    def pcm16(self) -> tuple[npt.NDArray[np.int16], int]:
        """Step 8: return the waves [shape=(3, n)] in 16 bits, and how many samples clipped."""
        pcm = np.empty((N_WAVES, self.y.size), dtype=np.int16)
        clipped = start = 0
        for waves in self:
            block = np.empty(waves.shape, dtype=np.int16)
            clipped += kernels.quantise(waves, block)
            pcm[:, start : start + waves.shape[1]] = block
            start += waves.shape[1]
        return pcm, clipped

    def _raw_waves(
        self, start: int, stop: int, ahead: int, phase: float
    ) -> tuple[FloatArray, FloatArray, float]:
        """Steps 2 to 5 from `start` to `ahead`, and the phase at `stop`."""
        first = start // HOP_LENGTH
        f0 = self._f0[first:]
        phases = np.empty(ahead - start)
        block, rest = phases[: stop - start], phases[stop - start :]
        phase = kernels.accumulate_phase(
            f0, self._lowest, self._highest, PROCESSING_SR, 0, phase, block
        )
        kernels.accumulate_phase(
            f0, self._lowest, self._highest, PROCESSING_SR, stop - start, phase, rest
        )
        raw = np.empty((N_WAVES, phases.size))
        energies = np.empty(-(-phases.size // HOP_LENGTH))
        amplitudes = np.ascontiguousarray(self._amplitudes[:, first : first + energies.size + 1])
        kernels.modulate(np.cos(phases), amplitudes, 0, raw, energies)
        return raw, energies, phase


def _frequency_range(voiced_f0: FloatArray) -> tuple[float, float]:
    """Step 3: lowest and highest f0 of the voiced frames, at least a little apart."""
    if voiced_f0.size == 0:
        return 0.0, 1.0
    lowest, highest = float(voiced_f0.min()), float(voiced_f0.max())
    return lowest, highest if highest > lowest else lowest + 1.0


def _rms(energies: FloatArray, before: FloatArray, n_frames: int) -> FloatArray:
    """Step 6: loudness of `n_frames` frames of four hops, from the energies of single hops.

    Frame m covers hops m - 2 to m + 1; `before` holds the two hops before the first.
    """
    hops = np.zeros(n_frames + 3)
    hops[:2] = before
    taken = energies[: n_frames + 1]
    hops[2 : 2 + taken.size] = taken
    power = (hops[:-3] + hops[1:-2] + hops[2:-1] + hops[3:]) / N_FFT
    rms: FloatArray = np.sqrt(power)
    return rms


@lru_cache
def _tables() -> tuple[FloatArray, FloatArray]:
    """Return the periodic Hann window and one period of a cosine."""
    turns = 2 * np.pi * np.arange(N_FFT) / N_FFT
    cosine = np.cos(turns)
    return 0.5 - 0.5 * cosine, cosine
