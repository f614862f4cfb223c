"""Compile and try the kernels before the first worker starts, once on each machine.

    prepare()   holds a file lock, which the system releases when its process ends
      threads, one for each processor: a child process compiles one module after the other
      the last of them: its child runs every kernel
        success                 -> a file `.tried`: later starts do nothing
        a crash or a hang       -> a file `.refused`: librosa does the work

The program waits for this, so it runs at normal priority and without a limit of memory. `.refused`
holds until the kernels, LLVM or the CPU change, or the file is deleted. After a worker died at its
start the kernels are tried again.

Later starts look at file names only, without LLVM and without a process. Kernels of another CPU
that shares the cache count as done; a worker then compiles them itself.
"""

import logging
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
from filelock import FileLock, Timeout

from backend.storage import FILE_MODE, make_directory
from plugins.waves.errors import KernelError
from plugins.waves.jit import cache
from plugins.waves.process import Note, Report, Task, Worker, WorkerDiedError, WorkerTimeoutError

log = structlog.get_logger(__name__)

CHILD_LIMIT_S = 120.0
"""Compiling a module takes half a second, and running all kernels a tenth of one."""
CHECK_S = 0.2
LOCK_FILE = "compiling.lock"

Say = Callable[[str], None]


def usable_root(wanted: Path | None, temporary: Path) -> Path:
    """Return where compiled kernels are kept: a directory in `temporary` if not as `wanted`."""
    try:
        root = wanted or cache.default_root()
        make_directory(root)
        with tempfile.TemporaryFile(dir=root):
            return root
    except (OSError, RuntimeError) as error:
        log.warning(
            "no writable cache for compiled kernels: name a directory that is one",
            error=str(error),
            setting=cache.ROOT_VARIABLE,
            used_instead=str(temporary),
        )
        return temporary / "kernels"


def prepare(root: Path, say: Say, cancelled: threading.Event, died: bool = False) -> None:
    """Have the kernels compiled and tried, if this has not been done on this machine.

    `say(text)` is called on any thread: what is being done and how far it is. This ends soon once
    `cancelled` is set. `died` says that a worker died at its start: the kernels are tried again.
    """
    try:
        name = cache.trial_name()
    except KernelError:
        return  # the worker that loads them logs it
    if _is_done(root, name, died):
        return
    make_directory(root)
    with _holding_lock(root, say, cancelled):
        if not cancelled.is_set() and not _is_done(root, name, died):
            _Preparation(root, name, say, cancelled).run()


def _is_done(root: Path, name: str, died: bool) -> bool:
    states = [cache.REFUSED] if died else [cache.TRIED, cache.REFUSED]
    return any(next(root.glob(f"*/{name}{state}"), None) for state in states)


@contextmanager
def _holding_lock(root: Path, say: Say, cancelled: threading.Event) -> Iterator[None]:
    """Hold the lock of the cache while the block runs; without one if its file system has none."""
    with suppress(OSError):  # filelock itself would make it writable for all
        (root / LOCK_FILE).touch(FILE_MODE, exist_ok=False)
    lock = FileLock(root / LOCK_FILE)
    with suppress(OSError, NotImplementedError):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            say("preparing the waves: another program is compiling, once on this machine")
            while not cancelled.is_set() and not lock.is_locked:
                with suppress(Timeout):
                    lock.acquire(timeout=CHECK_S)
    try:
        yield
    finally:
        lock.release()


class _Preparation:
    """One attempt to compile and try every kernel."""

    def __init__(self, root: Path, name: str, say: Say, cancelled: threading.Event) -> None:
        self._root = root
        self._name = name
        self._say = say
        self._cancelled = cancelled
        self._lock = threading.Lock()
        self._sources = enumerate(cache.sources(), 1)
        """Shared by the threads: the interpreter's lock lets one at a time take the next."""
        self._count = self._left = len(cache.sources())
        self._directory: Path | None = None
        self._doing = "starting"
        self._warnings: set[str] = set()

    def run(self) -> None:
        """Compile side by side, then try; return when no child is left."""
        self._show_progress(1)
        threads = [
            threading.Thread(target=self._work, name="waves-compiling", daemon=True)
            for _ in range(min(self._count, _processors()))
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except BaseException:
            self._cancelled.set()
            for thread in threads:
                thread.join()
            raise

    def _show_progress(self, number: int) -> None:
        where = f"{number} of {self._count}"
        self._say(f"preparing the waves: compiling {where}, once on this machine")

    def _work(self) -> None:
        """Compile modules in one child until there are none; the last to end tries them all."""
        try:
            worker = Worker(0, self._cancelled, self._on_note, low_priority=False)
        except WorkerDiedError as error:
            log.warning("the compiler could not be started", problem=str(error))
            return
        try:
            self._use(worker)
        except KernelError as error:  # the workers log it too, and use librosa
            log.warning("the kernels could not be prepared", problem=str(error))
        except WorkerDiedError as error:
            if error.from_outside:
                log.warning("compiling was ended from outside", how=str(error))
            elif not self._cancelled.is_set():
                self._refuse(str(error))
        except WorkerTimeoutError as error:
            self._refuse(str(error))
        finally:
            worker.discard()

    def _use(self, worker: Worker) -> None:
        report = self._run_task(worker, find_directory, str(self._root))
        self._directory = Path(str(report.data["directory"]))
        for number, source in self._sources:
            self._doing = f"compiling {source.stem}"
            if number > 1:
                self._show_progress(number)
            self._run_task(worker, compile_module, str(source))
            with self._lock:
                self._left -= 1
                is_last = self._left == 0
            if is_last:
                self._doing = "loading"
                self._run_task(worker, try_kernels)
                cache.write(self._directory / f"{self._name}{cache.TRIED}", b"")

    def _run_task(self, worker: Worker, task: Task, *arguments: str) -> Report:
        """Run a task in a child; return its report."""
        report = worker.run(CHILD_LIMIT_S, task, *arguments)
        if report.reason:
            raise KernelError(report.message)
        return report

    def _on_note(self, note: Note) -> None:
        """Keep which kernel runs; log each warning once."""
        if note.level < logging.WARNING:
            self._doing = note.message
        elif note.message not in self._warnings:
            self._warnings.add(note.message)
            log.warning(note.message)

    def _refuse(self, how: str) -> None:
        """Have librosa do the work instead of these kernels."""
        if self._directory is None:
            log.warning("compiling ended early", how=how, while_it_was=self._doing)
            return
        path = self._directory / f"{self._name}{cache.REFUSED}"
        cache.write(path, f"a trial of the compiled kernels failed ({how}, {self._doing})".encode())


def find_directory(root: str) -> Report:
    """Return the directory of this CPU below `root`: the first task of a child."""
    os.environ[cache.ROOT_VARIABLE] = root
    directory = cache.directory()
    if directory is None:
        raise KernelError(f"{root} cannot be written")
    return Report(data={"directory": str(directory)})


def compile_module(source: str) -> Report:
    """Compile the kernels of the module at `source`, if they are not there."""
    from plugins.waves.jit import loader

    loader.object_code(Path(source))
    return Report()


def try_kernels() -> Report:
    """Run every kernel, and log each before it runs."""
    from plugins.waves import decompose_v3

    decompose_v3.try_kernels()
    return Report()


def _processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
