"""V3: three low-frequency waves that follow a voice.

The pitch of the voice, mapped to 15 to 80 Hz, drives three cosines at one, two and three times that
frequency; the spectrum at the first three harmonics shapes them; their sum follows the loudness of
the voice. The steps, numbered alike in both implementations:

1. f0 and the voiced flag by pYIN (`plugins.waves.pyin.track`), f0 := 0 where unvoiced.
2. f0 at each sample, interpolated linearly, the zeros of unvoiced frames included.
3. Frequency: the voice's own range of f0 becomes 15 to 80 Hz; below 15 Hz at the edges of voiced
   stretches, 0 where f0 is 0.
4. Amplitude of harmonic h: spectral magnitude at the bin of h * f0, interpolated, times 6 / 512.
5. Raw wave h: amplitude times the cosine of h times the accumulated phase.
6. Gain: loudness of the voice over loudness of the raw sum, interpolated, at most 10.
7. The mix is the sum of the waves; rmse is its distance from the voice.
8. 16-bit PCM at 8000 Hz, clipped at full scale.

Two engines give the same files to the last bit but one:

exact    `plugins.waves.v3.synthesis`: compiled kernels, in blocks, a hundred times faster.
librosa  `plugins.waves.v3.reference`: the steps spelled out with NumPy, pYIN by librosa. It is what
         the exact engine is measured against, and what runs where kernels cannot be compiled.
"""

import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from plugins.waves.audio import pcm16, reader, resample
from plugins.waves.errors import KernelError
from plugins.waves.files import paths, publishing
from plugins.waves.jit import MODULES, loader
from plugins.waves.v3 import HOP_LENGTH, PROCESSING_SR, Synthesis, reference, synthesis

WARM_UP_HZ = 200.0
"""A period is a whole number of samples: frames are voiced for sure, a case of its own in pYIN."""
REASON_LENGTH = 240
"""A compiler may say a lot; characters of it that are logged in one line."""

Engine = Literal["exact", "librosa"]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """What V3 makes of a voice."""

    y: Float32
    """[shape=(n,)] The voice."""
    sr: int
    """Sampling rate of all arrays in Hertz."""
    waves: Float64
    """[shape=(3, n)] One wave per harmonic, before clipping."""
    mix: Float64
    """[shape=(n,)] Their sum."""
    rmse: float
    """Root of the mean squared difference of `y` and `mix`."""
    voiced_ratio: float
    """Voiced frames over all frames, 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class PcmDecomposition:
    """What V3 makes of a voice, as it is written to files."""

    waves: npt.NDArray[np.int16]
    """[shape=(3, n)] The three waves."""
    clipped: int
    """Samples beyond full scale, of all three waves."""
    voiced_ratio: float
    figures: dict[str, float]
    """How near the sum of the waves is to the voice; see `plugins.waves.v3.likeness`."""


def decompose(y: Float32, sr: int = PROCESSING_SR, *, engine: Engine = "exact") -> Decomposition:
    """Decompose a voice into three waves.

    Parameters
    ----------
    y : np.ndarray [shape=(n,)], float32
        Mono speech, full scale +-1, finite, at least one sample.
    sr : int > 0
        Sampling rate of `y` in Hertz; another than 8000 is resampled first.
    engine : {"exact", "librosa"}
        Which implementation to use.

    Returns
    -------
    decomposition : Decomposition
        The waves as float64, 24 bytes per sample; `decompose_pcm16` takes 6.

    Raises
    ------
    ValueError
        If `y` is empty, of another type or shape, or not finite.
    """
    if engine not in get_args(Engine):
        raise ValueError(f"unknown engine {engine!r}: choose one of {', '.join(get_args(Engine))}")
    y = resample(y, sr, PROCESSING_SR)
    if engine == "librosa":
        waves, rmse, voiced_ratio = reference.decompose(y)
    else:
        blocks = Synthesis(y)
        waves = np.concatenate(list(blocks), axis=1)
        rmse, voiced_ratio = blocks.figures()["rmse"], blocks.voiced_ratio
    return Decomposition(y, PROCESSING_SR, waves, waves.sum(axis=0), rmse, voiced_ratio)


def decompose_pcm16(
    y: Float32, *, engine: Engine = "exact", pitch: synthesis.Pitch | None = None
) -> PcmDecomposition:
    """Decompose a voice of 8000 Hz as `decompose` does, into 16 bits and with little memory.

    `pitch` is that of `synthesis.track_pitch`, if it is known.
    """
    if engine != "exact":
        result = decompose(y, engine=engine)
        converted = [pcm16.to_pcm16(wave) for wave in result.waves]
        pcm = np.stack([samples for samples, _ in converted])
        clipped = sum(count for _, count in converted)
        figures = reference.figures(y, result.mix)
        return PcmDecomposition(pcm, clipped, result.voiced_ratio, figures)
    blocks = Synthesis(y, pitch)
    pcm, clipped = blocks.pcm16()
    return PcmDecomposition(pcm, clipped, blocks.voiced_ratio, blocks.figures())


def decompose_audio(
    input_file: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    save_files: bool = True,
) -> tuple[Float32, int, Float64, Float64, Float64, Float64, float]:
    """Decompose a WAV file, and publish `<base>_v3_wave{1,2,3}.wav` in `output_dir`.

    Parameters
    ----------
    input_file : path
        The voice, any WAV that `reader.read` takes.
    output_dir : path
        Where the three files go; made if need be.
    save_files : bool
        Whether to write them.

    Returns
    -------
    y, sr, wave1, wave2, wave3, mix, rmse
        The voice at 8000 Hz, 8000, the waves, their sum, and how far it is from the voice.

    Raises
    ------
    AudioError
        If the file is refused.
    PublishError
        If the waves cannot be written.
    """
    recording = reader.read(input_file, rate=PROCESSING_SR)
    result = decompose(recording.samples, engine=usable_engine("exact"))
    if save_files:
        directory = Path(output_dir)
        publishing.publish(
            [pcm16.to_pcm16(wave)[0] for wave in result.waves],
            result.sr,
            paths.targets_in(directory, Path(input_file)),
            temporary=directory,
        )
    wave1, wave2, wave3 = result.waves
    return result.y, result.sr, wave1, wave2, wave3, result.mix, result.rmse


def usable_engine(wanted: Engine) -> Engine:
    """Return `wanted`, or "librosa" with one warning where kernels cannot be compiled or loaded."""
    return "librosa" if wanted == "librosa" or exact_problem() else wanted


@cache
def exact_problem() -> str:
    """Load the kernels; return why that is not possible, and log it."""
    try:
        synthesis.load_kernels()
    except Exception as error:  # whatever a compiler can do wrong, the water still has to move
        problem = _in_one_line(error)
        logger.warning(
            "the exact engine cannot be used here (%s); librosa does the work, some hundred times "
            "slower",
            problem,
            exc_info=True,
        )
        return problem
    return ""


def warm_up(engine: Engine = "exact") -> Engine:
    """Load or compile what `decompose` needs; return the engine for it, or raise KernelError."""
    usable = usable_engine(engine)
    times = np.arange(2 * HOP_LENGTH) / PROCESSING_SR
    try:
        decompose_pcm16(np.sin(2 * np.pi * WARM_UP_HZ * times).astype(np.float32), engine=usable)
    except Exception as error:
        exact = "" if usable == engine else f"exact: {exact_problem()}; "
        problem = f"no engine can be used here. {exact}{usable}: {_in_one_line(error)}"
        raise KernelError(problem) from error
    return usable


def _in_one_line(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    kind = "" if isinstance(error, KernelError) else f"{type(error).__name__}: "
    return f"{kind}{first[:REASON_LENGTH]}"


def try_kernels() -> None:
    """Run every kernel once at least, and log which one before it runs."""
    synthesis.load_kernels()
    for module in MODULES:
        for kernel in loader.kernels(module):
            kernel.announce(logger.info)
    tone = np.sin(2 * np.pi * WARM_UP_HZ * np.arange(PROCESSING_SR // 2) / PROCESSING_SR)
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, PROCESSING_SR // 2)  # of many troughs
    decompose_pcm16(np.concatenate([tone, noise]).astype(np.float32))
