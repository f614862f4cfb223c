"""The child's end of a worker process: what it does before and around every task.

    the parent starts the process -> serve()         guard() once, then order after order
                                     guard()         limits and protections, before numpy exists
    the parent sends an order     -> run(task, ...)  call it, report plainly what happened

Only the standard library is imported here: a spawned process reads this module before `guard` has
set the variables that numpy and numba read when they are imported. It also imports the parent's
main module, so an entry point that imports numpy would defeat them.

Memory is limited by RLIMIT_DATA (Linux): it counts what a process can write to, so numpy gets a
MemoryError and the task fails on its own. RLIMIT_AS was rejected: it also counts address space that
OpenBLAS, LLVM and thread stacks reserve and never touch. The worker also sets
its out-of-memory score to the highest, so that the kernel kills it before its parent. macOS and
Windows have no such limit.
"""

import ctypes
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from backend import scheduling
from backend.environment import inherited

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
BELOW_NORMAL_PRIORITY_CLASS = 0x4000  # <winbase.h>
LOWEST_NICENESS = 19
AUTOGROUP = Path("/proc/self/autogroup")
AUTOGROUP_ATTEMPTS = 5
AUTOGROUP_PAUSE_S = 0.11
"""Longer than the tenth of a second between two changes by users: kernel/sched/autogroup.c."""
HIGHEST_OOM_SCORE = "1000"  # proc(5), oom_score_adj
ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
)
MESSAGE_LENGTH = 500
DETAIL_LENGTH = 4000
"""A report stays below the 16 KiB that multiprocessing sends in one piece: it arrives whole."""

Plain = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a task did: all that ever crosses back to the parent.

    `reason` is empty when the task succeeded; `data` then holds its results, plain values, or
    tuples and dicts of them. `detail` is a traceback for the log.
    """

    reason: str = ""
    message: str = ""
    detail: str = ""
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the parent's log, sent while a task runs."""

    level: int
    """As in `logging`."""
    message: str


def serve(
    orders: Connection,
    reports: Connection,
    parent_pid: int,
    memory_limit_mb: int,
    low_priority: bool,
) -> None:
    """Do what comes through `orders` until it is closed: the main function of a worker process."""
    guard(parent_pid, memory_limit_mb, low_priority)
    notes = _NoteHandler(reports)
    logging.getLogger().addHandler(notes)
    logging.getLogger("plugins").setLevel(logging.INFO)
    while True:
        try:
            notes.number, task, arguments = orders.recv()
        except EOFError:
            return
        reports.send((notes.number, run(task, *arguments)))


class _NoteHandler(logging.Handler):
    """Sends what a task logs to the parent, the only process that writes a log."""

    def __init__(self, reports: Connection) -> None:
        super().__init__()
        self.number = 0
        self._reports = reports

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record as a note of the present order."""
        note = Note(record.levelno, record.getMessage()[:MESSAGE_LENGTH])
        self._reports.send((self.number, note))


def guard(parent_pid: int, memory_limit_mb: int, low_priority: bool) -> None:
    """Limit the resources of this process, and have it end with its parent.

    Its memory is not limited if `memory_limit_mb` is 0; `low_priority` is the lowest there is.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # and a stop of the whole process group
    _die_with_parent(parent_pid)
    _drop_secrets()
    for variable in ONE_THREAD:
        os.environ[variable] = "1"
    with suppress(OSError):
        os.dup2(2, 1)  # what a library prints must not get into the parent's `--json`
    if low_priority:
        _lower_priority()
    if memory_limit_mb:
        _limit_memory(memory_limit_mb)
    if sys.platform == "linux":
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(HIGHEST_OOM_SCORE, encoding="ascii")


def run(task: Callable[..., Report], *arguments: object) -> Report:
    """Call `task`; return its report, or one about whatever it raised."""
    try:
        report = task(*arguments)
        if type(report) is not Report:
            name = getattr(task, "__qualname__", repr(task))
            raise TypeError(f"{name} returned a {type(report).__name__}, not a Report")
        data = {str(key): _plain(value) for key, value in report.data.items()}
    except MemoryError as error:
        data, detail = {}, traceback.format_exc()
        report = Report("out_of_memory", f"not enough memory: {error}", detail)
    except BaseException as error:  # noqa: BLE001 - SystemExit too, which would end the worker
        data, detail = {}, traceback.format_exc()
        report = Report("error", f"{type(error).__name__}: {error}", detail)
    message, detail = str(report.message)[:MESSAGE_LENGTH], str(report.detail)[-DETAIL_LENGTH:]
    return Report(str(report.reason), message, detail, data)


def _die_with_parent(parent_pid: int) -> None:
    """Ask Linux to kill this process when its parent dies; elsewhere, wait for that in a thread.

    The thread cannot run while C code holds the interpreter lock: a worker that hangs like
    that when its parent is killed stays until the hang ends.
    """
    if sys.platform == "linux":
        # The signal comes when the thread that started this process ends, not only its process.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(1)  # it died before prctl was called
    elif (parent := parent_process()) is not None:
        sentinel = parent.sentinel

        def watch() -> None:
            wait([sentinel])
            os._exit(1)

        threading.Thread(target=watch, name="parent-wait", daemon=True).start()


def _drop_secrets() -> None:
    kept = inherited()  # what else there was is overwritten, where Linux says where it stands
    os.environ.clear()
    with suppress(OSError, IndexError):  # env_start and env_end of proc(5), after a name in ( )
        fields = Path("/proc/self/stat").read_text("ascii", "replace").rpartition(")")[2].split()
        ctypes.memset(int(fields[47]), 0, int(fields[48]) - int(fields[47]))
    os.environ.update(kept)


def _lower_priority() -> None:
    """Give this process the lowest priority: the event loop of the parent goes first."""
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        kernel.GetCurrentProcess.restype = ctypes.c_void_p  # by default a handle is cut to 32 bits
        kernel.SetPriorityClass.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS)
        return
    with suppress(OSError):
        os.nice(LOWEST_NICENESS)
    if sys.platform == "linux":
        scheduling.shorten()
        with suppress(OSError):
            # Where the kernel groups processes by session (sched(7), autogroup), niceness counts
            # within a session only: a process of another session would get no more time.
            os.setsid()
            _set_autogroup_nice()


def _set_autogroup_nice() -> None:
    """Set the niceness of this session's autogroup; the kernel refuses more than ten a second."""
    for _ in range(AUTOGROUP_ATTEMPTS):
        try:
            AUTOGROUP.write_text(str(LOWEST_NICENESS), encoding="ascii")
        except BlockingIOError:
            time.sleep(AUTOGROUP_PAUSE_S)
        else:
            return


def _limit_memory(megabytes: int) -> None:
    if sys.platform == "linux":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = megabytes * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit if hard < 0 else min(limit, hard), hard))


def _plain(value: object) -> object:
    """Return `value` as built-in types, so that the parent needs no library to read it."""
    if isinstance(value, tuple | list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if value is None:
        return None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"a report holds plain values, not a {type(value).__name__}")
