"""Kernels are compiled without numba, survive power cuts, and refuse what would corrupt memory."""

import logging
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import numpy.typing as npt
import pytest

from plugins.waves import decompose_v3
from plugins.waves.errors import KernelError
from plugins.waves.jit import MODULES, build, cache, loader
from plugins.waves.v3 import kernels as waves
from tests.patience import LIMIT_S

ROOT = Path(__file__).resolve().parents[4]
JOB = """
import logging, sys
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
import numpy as np
from plugins.waves.jit import loader
from plugins.waves.v3 import kernels as waves
compiled = []
loader._compile = lambda bitcode, compile=loader._compile: compiled.append(1) or compile(bitcode)
energies = np.empty(1)
waves.block_energies(np.full(128, 0.5, np.float32), energies)
print(energies[0], *(["compiled"] if compiled else []), "numba" in sys.modules)
"""


def run_job(root: Path) -> tuple[str, str]:
    """Run a kernel in a fresh process; return what it printed and logged."""
    done = subprocess.run(
        [sys.executable, "-c", JOB],
        cwd=ROOT,
        env={**os.environ, cache.ROOT_VARIABLE: str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


@pytest.fixture(scope="module")
def filled_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root whose cache holds the kernels."""
    root = tmp_path_factory.mktemp("cache")
    assert run_job(root) == ("32.0 compiled False", "")
    return root


@pytest.mark.e2e
def test_a_second_start_compiles_nothing(filled_root: Path) -> None:
    """A warm start compiles and writes nothing, and neither it nor the first imports numba."""
    before = {path: path.stat().st_mtime_ns for path in filled_root.rglob("*.kernels")}

    assert run_job(filled_root) == ("32.0 False", "")

    assert len(before) == 1
    assert before == {path: path.stat().st_mtime_ns for path in filled_root.rglob("*.kernels")}


@pytest.mark.e2e
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.999])
def test_a_power_cut_is_healed(filled_root: Path, keep: float) -> None:
    """Empty and truncated files are deleted with one warning, and the job is done."""
    path = next(filled_root.rglob("*.kernels"))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])

    result, log = run_job(filled_root)

    assert result == "32.0 compiled False"
    assert log.count("WARNING") == 1
    assert "are damaged" in log
    assert run_job(filled_root) == ("32.0 False", "")


@pytest.mark.e2e
def test_no_writable_directory(tmp_path: Path) -> None:
    """Without a place for the cache the job is done, with one warning."""
    (tmp_path / "file").write_text("not a directory")

    result, log = run_job(tmp_path / "file")

    assert result == "32.0 compiled False"
    assert log.count("WARNING") == 1
    assert "no writable cache" in log


@pytest.mark.e2e
@pytest.mark.faults
def test_two_cold_processes_at_once(tmp_path: Path) -> None:
    """F27: two processes that compile at once both do their job and leave one sound file."""
    environment = {**os.environ, cache.ROOT_VARIABLE: str(tmp_path)}
    jobs = [
        subprocess.Popen([sys.executable, "-c", JOB], cwd=ROOT, env=environment, stdout=-1)
        for _ in range(2)
    ]

    results = [job.communicate(timeout=LIMIT_S)[0].decode().strip() for job in jobs]

    assert set(results) <= {"32.0 compiled False", "32.0 False"}
    assert len(list(tmp_path.rglob("*.kernels*"))) == 1
    assert run_job(tmp_path) == ("32.0 False", "")


def test_a_write_that_fails_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A cache that cannot be written costs a warning, the same for each file: it is logged once."""
    with caplog.at_level(logging.WARNING):
        for name in ("a.kernels", "b.kernels"):
            cache.write(tmp_path / "missing" / name, b"")

    (warning,) = set(caplog.messages)
    assert f"cannot keep compiled kernels in {tmp_path / 'missing'} (ENOENT" in warning


@pytest.mark.parametrize(
    "y",
    [
        np.zeros(128),
        np.zeros((1, 128), np.float32),
        np.zeros(256, np.float32)[::2],
    ],
    ids=["dtype", "axes", "stride"],
)
def test_wrong_arrays_are_refused(y: npt.NDArray[np.generic]) -> None:
    """An array of another type, shape or layout raises before the machine code sees it."""
    with pytest.raises(TypeError, match="block_energies takes a contiguous array"):
        waves.block_energies(y, np.empty(1))


def test_wrong_number_of_arguments() -> None:
    """A missing argument raises before the machine code misses it."""
    with pytest.raises(TypeError, match="takes 2 arguments, not 1"):
        waves.block_energies(np.zeros(128, np.float32))


def test_a_kernel_yields_the_core_when_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kernel, whose result stands by then, the core is yielded."""
    energies = np.empty(1)
    seen: list[float] = []
    monkeypatch.setattr(loader, "yield_cpu", lambda: seen.append(float(energies[0])))

    waves.block_energies(np.full(128, 0.5, np.float32), energies)

    assert seen == [32.0]


@pytest.mark.parametrize("module", MODULES)
def test_bitcode_is_of_the_source_as_it_is(module: str) -> None:
    """Every module of kernels has the bitcode of its present source beside it, and no other."""
    path = cache.bitcode_path(Path(str(import_module(module).__file__)))

    assert [path] == list(path.parent.glob(f"{module.removeprefix('plugins.waves.')}-*.bc"))


def test_a_changed_kernel_is_not_run_as_it_was(tmp_path: Path) -> None:
    """A module without bitcode of its present source says how to build it."""
    (tmp_path / "changed.py").write_text("")

    with pytest.raises(KernelError, match=r"changed has changed .*: run `uv run .*build`"):
        loader.object_code(tmp_path / "changed.py")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param("source", f"changed since .* run `{cache.BUILD_COMMAND}`", id="source"),
        pytest.param("llvmlite", "AttributeError: .*parse_bitcode", id="llvmlite"),
    ],
)
def test_kernels_that_cannot_be_had_are_replaced_by_librosa(
    changed: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After a change of a source or of llvmlite librosa does the work; one warning says why."""
    monkeypatch.setattr(cache, "directory", lambda: tmp_path)
    if changed == "source":
        monkeypatch.setattr(cache, "bitcode_path", lambda source: tmp_path / "missing.bc")
    else:
        monkeypatch.delattr(llvm, "parse_bitcode")

    decompose_v3.exact_problem.cache_clear()
    engine = decompose_v3.usable_engine("exact")
    decompose_v3.exact_problem.cache_clear()

    (warning,) = caplog.messages
    assert "librosa" == engine
    assert re.search(rf"{words}.*librosa does the work", warning)


def test_a_new_version_of_llvmlite_compiles_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Object code of one version of llvmlite is not read by another."""
    before = cache.cache_key()
    monkeypatch.setattr(cache, "version", lambda package: "99.0")

    assert before != cache.cache_key()
    assert cache.cache_key().startswith("llvmlite-99.0-")


@pytest.mark.e2e
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="bitcode was built by Python 3.11")
def test_bitcode_is_what_build_makes_of_the_source() -> None:
    """The bitcode in the package is that which numba makes of the kernels, byte for byte."""
    script = (
        "from pathlib import Path; from importlib import import_module\n"
        "from plugins.waves.jit import build, cache\n"
        "for name in cache.MODULES:\n"
        "    source = Path(import_module(name).__file__)\n"
        "    assert build.build(name) == cache.bitcode(source), name\n"
    )

    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@loader.kernel("void(float64[::1])")
def _allocates(x):  # type: ignore[no-untyped-def]  # its types stand above
    x[0] = np.empty(3).size


@pytest.mark.e2e
def test_a_kernel_that_allocates_is_refused() -> None:
    """A kernel that needs numba's runtime cannot be built."""
    with pytest.raises(KernelError, match=r"test_loader need .*NRT"):
        build.build(__name__)
