"""Voices whose processes are killed from outside: every utterance is spoken all the same."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import psutil
import pytest
from structlog.testing import capture_logs

from backend.errors import SpeechError
from backend.speech import PROFILES, SpeechEngine
from backend.speech.children import EmbeddedEngine, PiperEngine
from backend.speech.children.engine import ESPEAK
from backend.speech.children.engine import PIPER as PIPER_COMMAND
from backend.speech.voices import Voice
from tests.backend.speech.children import tiny_piper
from tests.patience import SOON_S, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

WORDS = "I am the water, and I have been listening to you."
SLOTS = 6
PIPER = pytest.param(
    "piper",
    marks=pytest.mark.skipif(
        not (find_spec("piper") and find_spec("onnx")),
        reason="Piper is not installed: uv sync --group piper",
    ),
)
CHILD = """
import os, sys, time
folder, n_hanging, step, *command = sys.argv[1:]
for number in range(int(n_hanging)):
    try:
        os.close(os.open(f"{folder}/{number}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        continue
    if step == "during":
        sys.stdin.buffer.readline()
    if step == "half":
        sys.stdin.buffer.readline()
        print('{"sample_rate": 22050, "n_bytes": 8}', end="\\n1234", flush=True)
    open(f"{folder}/{os.getpid()}.pid", "x").close()
    time.sleep(600)
os.execv(command[0], command)
"""
"""The real child, but for the first `n_hanging`, which hang at `step` until they are killed."""


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    """Every test ends without a child of this process that was not there before."""
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


def engine(name: str, folder: Path, n_hanging: int, step: str) -> SpeechEngine:
    """Return an engine whose first `n_hanging` children hang at `step`."""
    folder.mkdir()
    hanging = (sys.executable, "-I", "-c", CHILD, str(folder), str(n_hanging), step)
    if name == "embedded":
        return EmbeddedEngine(temporary=folder / ".tmp", command=(*hanging, *ESPEAK))
    voice = Voice(model=str(tiny_piper.build(folder / "tiny.onnx")))
    return PiperEngine(
        dict.fromkeys(PROFILES, voice),
        temporary=folder / ".tmp",
        timeout_s=60,
        max_requests=SLOTS,
        command=(*hanging, *PIPER_COMMAND),
    )


def kill_all(folder: Path, count: int) -> None:
    """Kill all that hang, once `count` do."""
    until(lambda: len(list(folder.glob("*.pid"))) == count, f"{count} voices hang")
    for path in folder.glob("*.pid"):
        os.kill(int(path.stem), signal.SIGKILL)
        path.unlink()


@pytest.mark.e2e
@pytest.mark.parametrize("step", ["before", "during", "half"])
@pytest.mark.parametrize("name", ["embedded", PIPER])
def test_every_utterance_is_spoken_though_all_six_voices_are_killed(
    name: str, step: str, tmp_path: Path
) -> None:
    """Killed before it reads, while it speaks or half-way, each voice is tried once more."""
    folder = tmp_path / "voices"
    speech = engine(name, folder, SLOTS, step)

    with capture_logs() as logs, ThreadPoolExecutor(SLOTS) as pool:
        speaking = [
            pool.submit(speech.generate_wav_to_file, WORDS, profile, tmp_path / f"{profile}.wav")
            for profile in PROFILES
        ]
        kill_all(folder, SLOTS)
        spoken = [one.result() for one in speaking]
    speech.close()

    assert all(one.duration_s > 1 for one in spoken)
    assert SLOTS == sum("another one is tried" in log["event"] for log in logs)


@pytest.mark.parametrize("name", ["embedded", PIPER])
def test_a_voice_is_tried_once_more_and_not_for_ever(name: str, tmp_path: Path) -> None:
    """Killed a second time, the utterance fails and says how its process ended."""
    folder = tmp_path / "voices"
    speech = engine(name, folder, 2, "during")

    with ThreadPoolExecutor(1) as pool:
        speaking = pool.submit(
            speech.generate_wav_to_file, WORDS, "calm_soothing", tmp_path / "a.wav"
        )
        kill_all(folder, 1)
        kill_all(folder, 1)
        with pytest.raises(SpeechError, match="SIGKILL"):
            speaking.result()
    again = speech.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")
    speech.close()

    assert again.duration_s > 1


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["embedded", "piper"])
def test_one_more_try_keeps_the_time_limit(name: str, tmp_path: Path) -> None:
    """A second voice that hangs is killed within the limit of the utterance."""
    first = str(tmp_path / "first")
    code = (
        "import os, time\n"
        f"if os.path.exists({first!r}): time.sleep(600)\n"
        f"open({first!r}, 'x').close(); os.abort()"
    )
    command = (sys.executable, "-I", "-S", "-c", code)
    speech: SpeechEngine = (
        EmbeddedEngine(temporary=tmp_path / ".tmp", timeout_s=1, command=command)
        if name == "embedded"
        else PiperEngine(
            dict.fromkeys(PROFILES, Voice(model="a")),
            temporary=tmp_path / ".tmp",
            timeout_s=1,
            command=command,
        )
    )
    started = monotonic()

    with pytest.raises(SpeechError, match="took longer than"):
        speech.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")
    speech.close()

    assert monotonic() - started < SOON_S


@pytest.mark.parametrize("name", [PIPER])
def test_idle_voices_that_were_killed_are_not_asked(name: str, tmp_path: Path) -> None:
    """Killed between two utterances, a child costs no try."""
    speech = engine(name, tmp_path / "voices", 0, "before")
    speech.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")
    (child,) = psutil.Process().children()

    child.kill()
    waitable = os.WEXITED | os.WNOHANG | os.WNOWAIT  # its last thread too, and it is not reaped
    until(lambda: os.waitid(os.P_PID, child.pid, waitable) is not None, "the child is dead")
    with capture_logs() as logs:
        spoken = speech.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")
    speech.close()

    assert spoken.duration_s > 1
    assert [] == logs
