"""The row of the fault table about compiled code, with a real pool and the real task."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf
from structlog.testing import capture_logs

from plugins.waves import decompose_v3, worker
from plugins.waves.audio import reader as wavefile
from plugins.waves.jit import cache
from plugins.waves.pool import Pool
from tests.patience import LIMIT_S, until
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import Asked

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

ROOT = Path(__file__).parents[4]
N_LANES = 2


@pytest.fixture(scope="module")
def filled_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root whose cache holds all kernels."""
    root = tmp_path_factory.mktemp("cache")
    subprocess.run(
        [sys.executable, "-c", "from plugins.waves.v3 import synthesis; synthesis.load_kernels()"],
        cwd=ROOT,
        env={**os.environ, cache.ROOT_VARIABLE: str(root)},
        check=True,
    )
    assert len(kernel_files(root)) >= 4
    return root


def kernel_files(root: Path) -> list[Path]:
    """Return the files of a cache."""
    return sorted(root.rglob("*.kernels"))


def decompose_in_pool(
    kernel_cache: Path, folder: Path, wav: Path, warm_up: Callable[..., Any] = worker.warm_up
) -> list[str]:
    """Decompose `wav` once per lane in a pool; return the warnings in the parent's log.

    Both lanes have a worker when this returns; the waves are compared with those of this process.
    """

    def ask(name: object, wav: Path) -> Asked:
        job = Asked(folder / f"{name}.wav")
        job.payload = worker.Order(
            str(wav),
            str(folder / str(name)),
            str(folder / ".tmp"),
            None,
            60,
            "exact",
        )
        pool.submit(job)
        return job

    with capture_logs() as logs:
        pool = Pool(
            worker.decompose,
            lanes=N_LANES,
            queue_max_size=4,
            timeout_s=LIMIT_S,
            warm_up=partial(warm_up, str(folder / ".tmp"), "exact", kernel_cache),
            low_priority=False,
        )
        with pool:
            assert ask("missing", folder / "missing.wav").outcome().reason == "invalid_audio"
            until(lambda: len(pool.worker_pids) == N_LANES, "the workers are there")
            outcomes = [job.outcome() for job in [ask(index, wav) for index in range(N_LANES)]]

    assert [(outcome.reason, outcome.message) for outcome in outcomes] == [("", "")] * N_LANES
    expected = decompose_v3.decompose_pcm16(wavefile.read(wav, rate=8000).samples).waves
    for index in range(N_LANES):
        for h in (1, 2, 3):
            written, _ = sf.read(folder / f"{index}/{wav.stem}_v3_wave{h}.wav", dtype="int16")
            assert abs(written.astype(int) - expected[h - 1]).max() <= 1
    return [entry["event"] for entry in logs if entry["log_level"] == "warning"]


@pytest.fixture
def wav(speech: dict[tuple[str, int], Path]) -> Path:
    """Return a short utterance."""
    return min(speech.values(), key=lambda path: path.stat().st_size)


def test_a_damaged_cache_is_healed(filled_cache: Path, tmp_path: Path, wav: Path) -> None:
    """F27: an empty and a truncated file cost one WARNING and a moment, and no job."""
    damaged = kernel_files(filled_cache)[:2]
    for path, keep in zip(damaged, (0.0, 0.5), strict=True):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])

    (warning,) = decompose_in_pool(filled_cache, tmp_path, wav)

    assert "are damaged" in warning
    assert all(path.name in warning for path in damaged)
    assert decompose_in_pool(filled_cache, tmp_path, wav) == []


@pytest.mark.faults_slow
def test_a_cache_that_cannot_be_written(tmp_path: Path, wav: Path) -> None:
    """F27: with no place for compiled code both workers compile, with one WARNING between them."""
    (tmp_path / "file").write_text("not a directory")

    (warning,) = decompose_in_pool(tmp_path / "file", tmp_path, wav)

    assert "no writable cache" in warning
    assert cache.ROOT_VARIABLE in warning


def test_workers_that_cannot_compile(tmp_path: Path, wav: Path) -> None:
    """F27: where nothing can be compiled librosa does the work, with one WARNING that says why."""
    (warning,) = decompose_in_pool(
        tmp_path / "cache", tmp_path, wav, jobs.warm_up_without_a_compiler
    )

    assert "librosa does the work" in warning
    assert "(RuntimeError: no target for this machine)" in warning
