"""What `doctor` says of the waves: made as the server makes them, and compared with numbers."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.errors import ServerError
from backend.storage import Artifacts
from plugins.waves import checking, worker
from plugins.waves.errors import KernelError, WavesError
from plugins.waves.jit import cache
from plugins.waves.process import Report
from plugins.waves.settings import Engine, WavesSettings
from tests.command import COMMAND, environment, free_port
from tests.patience import LIMIT_S

WITHOUT_EXECUTABLE_MEMORY = """
import ctypes, os, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""What systemd does with MemoryDenyWriteExecute=yes, where the kernel is 6.3 or newer."""


def made(tmp_path: Path, engine: Engine = "exact") -> Report:
    """Return what a worker reports of the known second of speech."""
    source = tmp_path / "speech.wav"
    source.write_bytes(checking.speech())
    place = str(tmp_path)
    return worker.decompose(worker.Order(str(source), place, place, None, 60, engine))


def test_the_known_numbers_are_right(tmp_path: Path) -> None:
    """The exact engine makes them on every machine."""
    checking.compare(made(tmp_path))


@pytest.mark.e2e
def test_the_known_numbers_are_those_of_the_reference(tmp_path: Path) -> None:
    """librosa makes them, too."""
    checking.compare(made(tmp_path, "librosa"))


@pytest.mark.parametrize("changed", [{"rmse": 0.21}, {"voiced_ratio": 0.9}, {"files": ()}])
def test_other_numbers_are_wrong(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Waves that differ in one number are refused, with all of them."""
    report = made(tmp_path)

    sets: Any = report.data["sets"]
    with pytest.raises(WavesError, match="waves of a second of speech are wrong"):
        checking.compare(replace(report, data={"sets": ({**sets[0], **changed},)}))
    with pytest.raises(WavesError, match="publish_failed: no space"):
        checking.compare(Report("publish_failed", "no space"))


def test_doctor_asks_the_farm(tmp_path: Path) -> None:
    """Waves would be made here, but whoever has set it wants to know."""
    settings = WavesSettings(farm=f"nats://127.0.0.1:{free_port()}")

    with pytest.raises(ServerError, match="cannot be reached"):
        checking.check(settings, Artifacts(tmp_path), print)


@pytest.mark.e2e
def test_doctor_makes_waves_by_the_engine_of_the_settings(tmp_path: Path) -> None:
    """It names the engine, or why the kernels were refused and the way out."""
    artifacts, settings = Artifacts(tmp_path / "a"), WavesSettings(kernel_cache=tmp_path / "k")

    assert checking.check(settings, artifacts, print).endswith("by the engine exact")
    assert [] == list(artifacts.temporary.iterdir())

    (tried,) = tmp_path.glob(f"k/*/*{cache.TRIED}")
    tried.unlink()
    cache.write(refused := tried.with_suffix(cache.REFUSED), b"killed by SIGSEGV")
    with pytest.raises(KernelError, match=f"SIGSEGV; to try them again, delete {refused}"):
        checking.check(settings, artifacts, print)
    reference = WavesSettings(kernel_cache=tmp_path / "k", engine="librosa")
    assert "by the engine librosa" in checking.check(reference, artifacts, print)


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
def test_without_executable_memory_the_cause_and_the_remedy_are_told(tmp_path: Path) -> None:
    """Doctor and a rehearsal name both and end; nothing is set aside that would outlast it."""
    kernels = environment({"RR_WAVES_KERNEL_CACHE": str(tmp_path / "kernels")})

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", WITHOUT_EXECUTABLE_MEMORY, *COMMAND, *words],
            cwd=tmp_path,
            env=kernels,
            capture_output=True,
            text=True,
            timeout=LIMIT_S * 4,
        )

    doctor = run("doctor", "--json")
    if doctor.returncode == 77:
        pytest.skip("this kernel has no PR_SET_MDWE")
    rehearsed = run("rehearse", "water", "--slots", "1", "--json", "--artifacts", "a")

    remedy = "remove MemoryDenyWriteExecute=yes from the systemd unit"
    (waves,) = (one for one in json.loads(doctor.stdout) if one["check"] == "waves")
    assert (False, True) == (waves["ok"], remedy in waves["detail"])
    report = json.loads(rehearsed.stdout)
    assert (1, False, 1) == (rehearsed.returncode, report["ok"], len(report["problems"]))
    assert remedy in report["problems"][0]
    assert [] == list(tmp_path.glob(f"kernels/*/*{cache.REFUSED}"))
