"""The child side of the embedded voice, run as the engine runs it."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import espeakng_loader
import psutil
import pytest

from backend.speech.children.engine import ESPEAK
from backend.speech.profiles import EMBEDDED_VOICES
from tests.patience import LIMIT_S, until

PACKAGE = Path(espeakng_loader.__file__).parent
linux = pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux")


def request(**changes: Any) -> bytes:
    """Return a request for one word, with `changes`."""
    base = asdict(EMBEDDED_VOICES["friendly_casual"]) | {
        "library": espeakng_loader.get_library_path(),
        "text": "Water.",
        "limit_s": 20,
        "max_duration_s": 120,
    }
    return json.dumps(base | changes).encode() + b"\n"


def run(body: bytes, cwd: Path = PACKAGE) -> subprocess.CompletedProcess[bytes]:
    """Run the child on `body` to its end."""
    return subprocess.run(
        ESPEAK, input=body, capture_output=True, cwd=cwd, timeout=LIMIT_S, check=False
    )


def error_of(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return what the child says went wrong, having checked that it says it in one record."""
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
    header = json.loads(done.stdout)
    assert set(header) == {"error", "n_bytes"}
    return str(header["error"])


def test_the_length_comes_first() -> None:
    """The answer is one line with rate and length, then exactly that many bytes."""
    done = run(request())

    head, _, pcm = done.stdout.partition(b"\n")
    assert json.loads(head) == {"sample_rate": 22_050, "n_bytes": len(pcm)}
    assert len(pcm) > 22_050 // 4
    assert (done.returncode, done.stderr) == (0, b"")


def test_it_is_made_of_the_standard_library_only() -> None:
    """The child loads nothing outside the standard library, so it starts fast."""
    code = (
        "import runpy, sys; "
        f"[runpy.run_path(path) for path in {ESPEAK[-2:]!r}]; "
        "print({name.partition('.')[0] for name in sys.modules} - {'__main__'} "
        "<= sys.stdlib_module_names, 'asyncio' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["True", "False"]


def test_an_unknown_language() -> None:
    """A voice whose language does not exist is an error that names it."""
    assert "choose the voice xx-yy (status" in error_of(run(request(voice="xx-yy")))


def test_missing_data(tmp_path: Path) -> None:
    """Missing data is an error with the way out, not an exit of the library."""
    assert "data could not be read" in error_of(run(request(), cwd=tmp_path))


def test_a_missing_library(tmp_path: Path) -> None:
    """A library that cannot be loaded is an error that names it."""
    assert "libnothing" in error_of(run(request(library=str(tmp_path / "libnothing.so"))))


@pytest.mark.parametrize(
    "name", ["rate_wpm", "volume", "pitch", "pitch_range", "word_gap"], ids=str
)
def test_every_parameter_changes_the_sound(name: str) -> None:
    """Each parameter changes the sound, so its number is the right one."""
    low, high = (run(request(text="The water is here.", **{name: value})) for value in (80, 99))
    if name == "volume":
        loudness = [max(memoryview(_pcm(done)).cast("h")) for done in (low, high)]
        assert loudness[0] < loudness[1]
    elif name in ("rate_wpm", "word_gap"):
        assert len(_pcm(low)) != len(_pcm(high))
    else:
        assert _pcm(low) != _pcm(high)


def _pcm(done: subprocess.CompletedProcess[bytes]) -> bytes:
    assert done.returncode == 0
    return done.stdout.partition(b"\n")[2]


@linux
def test_an_abort_takes_only_the_child() -> None:
    """The text that makes espeak-ng abort, uncleaned, ends the child without half an answer."""
    done = run(request(text="s'" * 80))

    assert done.returncode == -signal.SIGABRT
    assert done.stdout == b""


def test_an_orphan_ends_itself() -> None:
    """A child that nobody kills ends at its own limit without an answer."""
    done = run(request(text="".join(chr(0x4E00 + i) for i in range(600)), limit_s=0.001))

    assert done.returncode == 1
    assert done.stdout == b""
    assert b"Timeout" in done.stderr


@linux
def test_it_dies_with_its_parent() -> None:
    """A child whose parent is killed is gone, even while it waits for its request."""
    reading, writing = os.pipe()
    code = (
        "import subprocess, sys, time; "
        f"child = subprocess.Popen({ESPEAK!r}, stdin={reading}, cwd={str(PACKAGE)!r}); "
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, pass_fds=[reading]
    )
    with parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        os.close(reading)
        # More than a pipe holds: this returns once the child is reading, so after its prctl.
        _write_all(writing, b" " * 200_000)

        parent.kill()

        until(lambda: has_ended(child), "the child has ended")
    os.close(writing)


def has_ended(process: psutil.Process) -> bool:
    """Tell whether a process is gone, or only waits to be buried."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_ctrl_c_is_ignored() -> None:
    """A child that gets Ctrl-C all the same speaks on and prints no traceback."""
    process = subprocess.Popen(
        ESPEAK,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PACKAGE,
    )
    with process:
        assert process.stdin is not None
        # More than a pipe holds: this returns once the child is reading, so past its start.
        _write_all(process.stdin.fileno(), b" " * 200_000)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(request(), timeout=LIMIT_S)

    assert (process.returncode, errors) == (0, b"")
    assert b"n_bytes" in output
