"""Kernels are compiled once on a machine, and what crashes in their trial is never run again."""

import json
import os
import subprocess
import sys
import threading
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from filelock import FileLock
from structlog.testing import capture_logs

from plugins.waves import decompose_v3, preparing, worker
from plugins.waves.errors import KernelError
from plugins.waves.jit import MODULES, cache, loader
from plugins.waves.pool import Pool
from tests.patience import LIMIT_S, until
from tests.plugins.waves.jit.crashing import HANG, copy_program, spoiled
from tests.plugins.waves.pool.pools import Asked

ROOT = Path(__file__).resolve().parents[3]
COMPILING = [f"preparing the waves: compiling {n} of 5, once on this machine" for n in range(1, 6)]


def prepare(root: Path, *, died: bool = False) -> list[str]:
    """Prepare the kernels below `root`; return what was said."""
    said: list[str] = []
    preparing.prepare(root, said.append, threading.Event(), died)
    return said


def mark(root: Path, state: str, content: bytes = b"") -> Path:
    """Say below `root` how the trial of the kernels went, as another start found it."""
    path = root / "some-cpu" / f"{cache.trial_name()}{state}"
    path.parent.mkdir()
    cache.write(path, content)
    return path


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    """Return a short recording."""
    path = tmp_path / "tone.wav"
    sf.write(path, 0.3 * np.sin(2 * np.pi * 150 * np.arange(4000) / 8000), 8000)
    return path


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root below which everything is compiled and tried."""
    root = tmp_path_factory.mktemp("compiled")
    assert prepare(root) == COMPILING
    return root


def command(*words: object, cwd: Path, root: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the program at `cwd` with a cache of its own."""
    return subprocess.run(
        [sys.executable, "-m", "backend", *map(str, words)],
        cwd=cwd,
        env={**os.environ, cache.ROOT_VARIABLE: str(root)},
        capture_output=True,
        text=True,
        timeout=LIMIT_S * 4,
    )


def test_a_machine_that_is_prepared_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once kernels are tried, or refused, a start says nothing and starts no process."""
    monkeypatch.setattr(preparing, "Worker", None)
    tried = mark(tmp_path, cache.TRIED)

    assert prepare(tmp_path) == []

    tried.rename(tried.with_suffix(cache.REFUSED))
    assert prepare(tmp_path, died=True) == []


def test_looking_for_compiled_kernels_needs_no_compiler(tmp_path: Path) -> None:
    """A start that finds everything done imports neither LLVM nor NumPy in the parent."""
    mark(tmp_path, cache.TRIED)
    script = (
        "import sys, threading, pathlib; from plugins.waves import preparing\n"
        "preparing.prepare(pathlib.Path(sys.argv[1]), print, threading.Event())\n"
        "print({'llvmlite', 'numpy', 'numba'} & set(sys.modules))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True
    )

    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_every_kernel_is_tried(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trial runs each kernel of each module, and tells of each before."""
    kernels = [one for name in MODULES for one in loader.kernels(import_module(name).__name__)]
    for one in kernels:
        monkeypatch.setattr(one, "native", one.native)

    with caplog.at_level("INFO", "plugins.waves.decompose_v3"):
        decompose_v3.try_kernels()

    assert {f"running {one.function.__name__}" for one in kernels} <= set(caplog.messages)


def test_where_the_cache_cannot_be_written_the_artifacts_hold_it(tmp_path: Path) -> None:
    """Without a writable cache, kernels are kept among the temporary files, with one warning."""
    (tmp_path / "file").write_text("not a directory")

    with capture_logs() as logs:
        root = preparing.usable_root(tmp_path / "file", tmp_path / ".tmp")

    assert root == tmp_path / ".tmp" / "kernels"
    assert [entry["used_instead"] for entry in logs] == [str(tmp_path / ".tmp")]


@pytest.mark.e2e
def test_kernels_are_compiled_once(compiled: Path) -> None:
    """The first start compiles each module and tries them; after a death they are only tried."""
    (tried,) = compiled.glob(f"*/*{cache.TRIED}")
    before = {path: path.stat().st_mtime_ns for path in tried.parent.glob("*.kernels")}
    tried.unlink()

    prepare(compiled, died=True)

    assert tried.exists()
    assert len(before) == len(MODULES)
    assert before == {path: path.stat().st_mtime_ns for path in tried.parent.glob("*.kernels")}


@pytest.mark.e2e
def test_a_second_program_waits_for_the_first_one(tmp_path: Path) -> None:
    """Who comes second says so and waits; a holder that is killed leaves the work to it."""
    script = (
        "import sys; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()\n"
    )
    said: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / preparing.LOCK_FILE)], stdin=-1, stdout=-1
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline()
        second = threading.Thread(
            target=preparing.prepare, args=(tmp_path, said.append, threading.Event())
        )
        second.start()
        until(lambda: len(said) > 0, "the second says that it waits")
        holder.kill()
        second.join(LIMIT_S)

    first, *rest = said
    assert "another program is compiling" in first
    assert rest == COMPILING
    FileLock(tmp_path / preparing.LOCK_FILE).acquire(timeout=0)


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_new_kernel_that_crashes_is_set_aside(tmp_path: Path, tone: Path) -> None:
    """A kernel that kills its trial is never run by a worker: librosa does the work, said once."""
    program = copy_program(ROOT, tmp_path / "program", "block_energies")
    words = ("waves", "decompose", tone, "--json", "--workers", 2, "--out")

    first = command(*words, tmp_path / "out1", cwd=program, root=tmp_path / "cache")
    second = command(*words, tmp_path / "out2", cwd=program, root=tmp_path / "cache")

    for done, times in (first, 1), (second, 0):
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["done"] == 1
        assert done.stderr.count("killed by SIGSEGV, running block_energies") == 1
        assert done.stderr.count("compiling 5 of 5") == times
    assert len(list(tmp_path.glob(f"cache/*/*{cache.REFUSED}"))) == 1


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="no pause()")
def test_a_new_kernel_that_hangs_is_set_aside(tmp_path: Path) -> None:
    """A kernel that does not end is refused after a bound."""
    program = copy_program(ROOT, tmp_path / "program", "quantise", HANG)
    script = (
        "import pathlib, sys, threading; from plugins.waves import preparing\n"
        "preparing.CHILD_LIMIT_S = 20\n"
        "preparing.prepare(pathlib.Path(sys.argv[1]), print, threading.Event())\n"
    )

    subprocess.run([sys.executable, "-c", script, str(tmp_path / "cache")], cwd=program, check=True)

    (path,) = tmp_path.glob(f"cache/*/*{cache.REFUSED}")
    with pytest.raises(KernelError, match="no answer within 20 s, running quantise"):
        cache.check_not_refused(path.parent, path.stem)


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_kept_kernel_that_crashes_ends_in_the_reference(tmp_path: Path, tone: Path) -> None:
    """If kept code kills a worker at its start, the next worker uses librosa and does the job."""
    root = tmp_path / "cache"
    prepare(root)
    source = next(path for path in cache.sources() if path.parent.name == "v3")
    (path,) = root.glob("*/v3.kernels-*.kernels")
    cache.write(path, loader._compile(spoiled(cache.bitcode(source), "harmonic_magnitudes")))
    job = Asked(tone)
    temporary = str(tmp_path / ".tmp")
    job.payload = worker.Order(str(tone), str(tmp_path / "waves"), temporary, None, 60, "exact")

    with (
        capture_logs() as logs,
        Pool(
            worker.decompose,
            lanes=2,
            queue_max_size=4,
            timeout_s=LIMIT_S * 4,
            warm_up=partial(worker.warm_up, temporary, "exact", root),
            prepare=partial(preparing.prepare, root),
            low_priority=False,
        ) as pool,
    ):
        pool.submit(job)
        outcome = job.outcome(LIMIT_S * 4)

    assert (outcome.reason, outcome.message) == ("", "")
    assert 3 == len(list((tmp_path / "waves").glob("*_v3_wave?.wav")))
    warnings = [entry["event"] for entry in logs if "librosa does the work" in entry["event"]]
    assert ["SIGSEGV, running harmonic_magnitudes" in text for text in warnings] == [True]


@pytest.mark.e2e
def test_a_rehearsal_says_that_it_compiles(tmp_path: Path) -> None:
    """A first rehearsal says how far compiling is; doctor and a second one find it done."""
    words = ("rehearse", "water", "--slots", 1, "--artifacts", tmp_path / "a")

    first = command(*words, cwd=ROOT, root=tmp_path / "cache")
    second = command(*words, cwd=ROOT, root=tmp_path / "cache")

    assert (first.returncode, second.returncode) == (0, 0)
    assert [line for line in COMPILING if line in first.stderr] == COMPILING
    assert "compiling" not in second.stderr
