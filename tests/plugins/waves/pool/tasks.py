"""A catalogue of worker functions, good and bad, each run in a real child process.

A payload is a tuple of strings: a name of the catalogue and its arguments. A job that is to fail
only once leaves a marker file behind. What a test needs to ask and to wait stands in `pools.py`.
"""

import ctypes
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from plugins.waves.files import targets_in
from plugins.waves.process.worker_main import AUTOGROUP, Report, _NoteHandler
from plugins.waves.worker import decompose as _real_decompose
from tests import scheduling as timeslice

if TYPE_CHECKING:
    from plugins.waves.decompose_v3 import Engine
    from plugins.waves.worker import Order

MEGABYTE = 2**20


def group_niceness() -> int | None:
    """Return how nice the session of this process is, None where the kernel does not say.

    The file is missing where the kernel has no such groups, and empty where this session has none.
    """
    try:
        words = AUTOGROUP.read_text().split()
    except OSError:
        return None
    return int(words[-1]) if words else None


def ask_for_group_niceness() -> int | None:
    """Ask the kernel to make the session of this process as nice as can be; return how nice it is.

    Some kernels lack it, some containers make the file read-only, and users wait for their turn.
    """
    for _ in range(20):
        try:
            AUTOGROUP.write_text("19")
        except BlockingIOError:
            time.sleep(0.1)
        except OSError:
            break
        else:
            break
    return group_niceness()


def granted_group_niceness() -> int | None:
    """Return what this machine grants a new session, None where there is no such thing."""
    ask = f"from {__name__} import ask_for_group_niceness as ask; print(ask())"
    answer = subprocess.run(
        [sys.executable, "-c", ask],
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[4],
    ).stdout.strip()
    return None if answer == "None" else int(answer)


def work(payload: tuple[str, ...]) -> Report:
    """Do what the payload names: one task that can be anything."""
    name, *arguments = payload
    result = CATALOGUE[name](*arguments)
    return result if isinstance(result, Report) else Report(data={"value": result})


def warm_up(first: bool, replaced_pid: int | None) -> Report:
    """Do nothing, and say what was asked."""
    return Report(data={"first": first, "replaced_pid": replaced_pid or 0})


def refuse_to_start(first: bool, replaced_pid: int | None) -> Report:
    """Report a problem at start."""
    return Report("error", "no module named 'sound'")


def die_at_start(first: bool, replaced_pid: int | None) -> Report:
    """Be killed at start."""
    return _kill()


def start_at_the_sixth_time(directory: str, first: bool, replaced_pid: int | None) -> Report:
    """Be killed during five starts, then start."""
    starts = Path(directory)
    count = len(list(starts.iterdir()))
    (starts / str(count)).touch()
    return _kill() if count < 5 else Report()


def echo(value: str) -> str:
    """Give the value back."""
    return value


def pid() -> int:
    """Tell which process this is."""
    return os.getpid()


def surroundings() -> Report:
    """Tell what the guard made of this process."""
    import resource

    return Report(
        data={
            "nice": os.nice(0),
            "group_nice": group_niceness(),
            "time_slice_ns": timeslice.of_this_thread(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "numba_threads": os.environ.get("NUMBA_NUM_THREADS"),
            "sigint_blocked": signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()),
            "sigint_ignored": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
            "memory": resource.getrlimit(resource.RLIMIT_DATA)[0],
            "victim": Path("/proc/self/oom_score_adj").read_text().strip(),
            "modules": tuple(sorted(sys.modules)),
            "variables": tuple(sorted(os.environ)),
        }
    )


def tell_and(fifo: str, *then: str) -> object:
    """Tell the test which process runs this job now, then do another job."""
    Path(fifo).write_text(f"{os.getpid()}\n")
    name, *arguments = then
    return CATALOGUE[name](*arguments)


def pass_gate(gate: str) -> str:
    """Wait until the test opens the gate."""
    with Path(gate).open() as stream:
        return stream.readline().strip()


def append(path: str, line: str) -> str:
    """Add a line to a file: how often and in which order jobs ran."""
    with Path(path).open("a") as stream:
        stream.write(line + "\n")
    return line


def kill() -> NoReturn:
    """Die like a process the kernel's out-of-memory killer chose."""
    _kill()


def segfault() -> None:
    """Read address zero."""
    ctypes.string_at(0)


def abort() -> None:
    """Die like a failed assertion in C."""
    os.abort()


def exit_hard(code: str) -> NoReturn:
    """Leave without any clean-up."""
    os._exit(int(code))


def exit_softly() -> NoReturn:
    """Raise SystemExit."""
    sys.exit(3)


def raise_error() -> NoReturn:
    """Raise an exception that only this process knows."""

    class LocalError(Exception):
        pass

    raise LocalError("the tide is out")


def die_once(marker: str) -> str:
    """Die in the first attempt, succeed in the second."""
    path = Path(marker)
    if not path.exists():
        path.touch()
        _kill()
    return "second attempt"


def die_and_break(marker: str) -> str:
    """Die in the first attempt, leaving what keeps the next worker from starting."""
    return die_once(marker)


def refuse_to_start_with(marker: str, first: bool, replaced_pid: int | None) -> Report:
    """Report a problem at start if a marker is there and a worker has died."""
    broken = replaced_pid is not None and Path(marker).exists()
    return Report("error", "broken") if broken else Report()


def refuse_to_start_while(marker: str, first: bool, replaced_pid: int | None) -> Report:
    """Report a problem at start as long as a marker is there."""
    return Report("error", "broken") if Path(marker).exists() else Report()


def hang_at_start(fifo: str, first: bool, replaced_pid: int | None) -> NoReturn:
    """Tell which process this is, then never be ready."""
    Path(fifo).write_text(f"{os.getpid()}\n")
    ignore_sigterm()


def decompose(order: "Order") -> Report:
    """Stand in for the real task: the file's name says what happens, else three small files."""
    name, *arguments = Path(order.wav_path).stem.split("-")
    if name in CATALOGUE:
        CATALOGUE[name](*arguments)
    if name == "invalid":
        return Report("invalid_audio", "0 frames")
    targets = targets_in(Path(order.directory), Path(order.wav_path))
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"RIFF")
    return Report(
        data={
            "sets": (
                {
                    "profile": "v3",
                    "files": tuple((str(target), 4, "0" * 64, 0.5, 0.25) for target in targets),
                    "rmse": 0.25,
                    "clipped_samples": 3,
                    "voiced_ratio": 0.5,
                },
            ),
            "frames": 12_000,
            "duration_s": 1.5,
            "sample_rate": 8000,
            "warnings": ("an odd byte",) if name == "odd" else (),
        }
    )


def count_and_decompose(order: "Order") -> Report:
    """Add a line to `counted` beside the artifacts root, then do the real thing."""
    with (Path(order.root or "").parent / "counted").open("a") as stream:
        stream.write(order.wav_path + "\n")
    return _real_decompose(order)


def decompose_or_crash(order: "Order") -> Report:
    """Do the real thing, unless the recording is called `segfault`."""
    if Path(order.wav_path).stem == "segfault":
        segfault()
    return _real_decompose(order)


def lose_the_session_while_reading(order: "Order") -> Report:
    """Have the speech of the session deleted as soon as it has been read."""
    from plugins.waves.audio import reader as wavefile

    original = wavefile.read

    def read(*args: Any, **options: Any) -> wavefile.Wave:
        wave = original(*args, **options)
        shutil.rmtree(Path(order.wav_path).parents[1])
        return wave

    wavefile.read = read
    return _real_decompose(order)


def lose_the_session_after_publishing(order: "Order") -> Report:
    """Have the speech of the session deleted once the waves stand in their place."""
    report = _real_decompose(order)
    shutil.rmtree(Path(order.wav_path).parents[1])
    return report


def warm_up_like_waves(
    temporary: str, engine: str, kernel_cache: Path | None, first: bool, replaced_pid: int | None
) -> Report:
    """Stand in for the real warm-up."""
    return Report()


def warm_up_without_a_compiler(
    temporary: str,
    engine: "Engine",
    kernel_cache: Path | None,
    first: bool,
    replaced_pid: int | None,
) -> Report:
    """Warm up where the compiler does not know the machine."""
    from plugins.waves import worker
    from plugins.waves.jit import loader

    def fail(bitcode: bytes) -> NoReturn:
        raise RuntimeError("no target for this machine\n...")

    loader._compile = fail
    return worker.warm_up(temporary, engine, kernel_cache, first, replaced_pid)


def refuse_to_start_like_waves(
    temporary: str, engine: str, kernel_cache: Path | None, first: bool, replaced_pid: int | None
) -> Report:
    """Report a problem at start."""
    return Report("error", "no module named 'sound'")


def sleep(seconds: str, *_: str) -> str:
    """Take a while; what else stands in the name of a recording tells it from others."""
    time.sleep(float(seconds))
    return "slept"


def hold_the_gil(seconds: str) -> int:
    """Hang in C without ever releasing the interpreter lock."""
    library = ctypes.PyDLL(None)
    return int(library.sleep(int(seconds)))


def ignore_sigterm() -> NoReturn:
    """Hang, deaf to polite requests."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def spin() -> NoReturn:
    """Hang in Python, busily."""
    while True:
        pass


def stop_self() -> None:
    """Be frozen by SIGSTOP."""
    os.kill(os.getpid(), signal.SIGSTOP)


def run_out_of_memory() -> int:
    """Ask for more memory than a worker has."""
    return len(bytearray(1024 * MEGABYTE))


def die_at_resident_size(megabytes: str) -> NoReturn:
    """Grow, page by page, and be killed for it."""
    held = bytearray(int(megabytes) * MEGABYTE)
    held[:: os.sysconf("SC_PAGESIZE")] = b"1" * (len(held) // os.sysconf("SC_PAGESIZE"))
    _kill()


def return_nothing_sensible() -> Report:
    """Return something that is no plain value."""
    return Report(data={"value": lambda: None})


def write_garbage_as_reply() -> NoReturn:
    """Send what cannot be unpickled in the place of a reply, then hang."""
    os.write(_reply_pipe(), len(GARBAGE).to_bytes(4, "big") + GARBAGE)
    while True:
        time.sleep(60)


def hang_in_the_reply() -> NoReturn:
    """Send half of a reply, then hang."""
    os.write(_reply_pipe(), (1000).to_bytes(4, "big") + GARBAGE)
    while True:
        time.sleep(60)


def reply_twice() -> Report:
    """Send a reply of its own before the one that is sent for it."""
    forged = pickle.dumps((0, Report(data={"value": "forged"})))
    os.write(_reply_pipe(), len(forged).to_bytes(4, "big") + forged)
    return Report(data={"value": "mine"})


def die_in_the_reply() -> NoReturn:
    """Die after half of a reply was sent."""
    os.write(_reply_pipe(), (1000).to_bytes(4, "big") + GARBAGE)
    _kill()


GARBAGE = b"\x80\x05this is no pickle."


def _kill() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def _reply_pipe() -> int:
    """Return the write end of the pipe to the parent: what is logged goes the same way."""
    (handler,) = (one for one in logging.getLogger().handlers if isinstance(one, _NoteHandler))
    return handler._reports.fileno()


CATALOGUE: Mapping[str, Any] = {
    function.__name__: function
    for function in (
        echo,
        pid,
        surroundings,
        tell_and,
        pass_gate,
        sleep,
        die_and_break,
        append,
        kill,
        segfault,
        abort,
        exit_hard,
        exit_softly,
        raise_error,
        die_once,
        hold_the_gil,
        ignore_sigterm,
        spin,
        stop_self,
        run_out_of_memory,
        die_at_resident_size,
        return_nothing_sensible,
        write_garbage_as_reply,
        die_in_the_reply,
        hang_in_the_reply,
        reply_twice,
    )
}
