"""Whisper, in a real child process; its own code runs on a tiny model that is built here."""

import re
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from backend.config import Settings
from backend.errors import HearingError, SettingsError
from backend.hearing import SAMPLE_RATE, Transcript, Word, create_hearing_engine
from backend.hearing.children import WhisperEngine
from tests.patience import SOON_S

FILES = ("model.bin", "config.json", "tokenizer.json")
PCM = bytes(2) + b"\x00\x20\x00\xe0" * SAMPLE_RATE  # two seconds of a high tone
installed = pytest.mark.skipif(
    find_spec("faster_whisper") is None,
    reason="faster-whisper is not installed: uv sync --group whisper",
)
Make = Callable[..., WhisperEngine]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that looks like a model."""
    for name in FILES:
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def make() -> Iterator[Make]:
    """Return what makes an engine; it is closed with the test, and leaves no child behind."""
    before = set(psutil.Process().children())
    engines = []

    def start(folder: Path, code: str = "", **options: Any) -> WhisperEngine:
        if code:
            options["command"] = (sys.executable, "-I", "-c", code)
        engine = WhisperEngine(folder, timeout_s=options.pop("timeout_s", 60), **options)
        engines.append(engine)
        return engine

    yield start
    for engine in engines:
        engine.close()
    _, alive = psutil.wait_procs(set(psutil.Process().children()) - before, SOON_S)
    assert [] == alive


@installed
def test_a_model_understands(make: Make, tmp_path: Path) -> None:
    """Words and their times come from faster-whisper, in one child for every recording."""
    from tests.backend.hearing.children import tiny_whisper

    engine = make(tiny_whisper.build(tmp_path / "model"))

    transcripts = [engine.transcribe(PCM, "en") for _ in range(2)]

    assert transcripts[0] == transcripts[1]
    words = transcripts[0].words or ()
    text = " ".join(word.text for word in words)
    assert Transcript(text, "en", "whisper", words) == transcripts[0]
    assert re.fullmatch("(Still water listens ?)+", text)  # once for each window of the recording
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert sorted(times) == times
    assert 0 <= times[0] < times[-1] <= 2
    assert f"the model in {tmp_path / 'model'}" == engine.check()
    with pytest.raises(HearingError, match="does not know the language 'de'"):
        engine.transcribe(PCM, "de")


@installed
def test_a_model_that_cannot_be_loaded(make: Make, folder: Path) -> None:
    """Files that are no model are told as such, and nothing is fetched instead."""
    with pytest.raises(HearingError, match="whisper failed: RuntimeError"):
        make(folder).check()


def test_what_the_child_answers(make: Make, folder: Path) -> None:
    """The child gets the folder, the language and the samples; its answer is the transcript."""
    code = """
import json, sys
for line in sys.stdin.buffer:
    asked = json.loads(line)
    n_bytes = len(sys.stdin.buffer.read(asked["n_bytes"]))
    text = f"{sys.argv[-1]} {asked['language']} {n_bytes}"
    answer = json.dumps({"text": text, "words": [["a", 0.0, 0.5]]}).encode()
    sys.stdout.buffer.write(json.dumps({"n_bytes": len(answer)}).encode() + b"\\n" + answer)
    sys.stdout.buffer.flush()
"""

    transcript = make(folder, code).transcribe(PCM, "pt")

    expected = Transcript(f"{folder} pt {len(PCM)}", "pt", "whisper", (Word("a", 0.0, 0.5),))
    assert expected == transcript


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "whisper failed: its process ended with exit code 3"),
        pytest.param(
            "import time; time.sleep(60)",
            "whisper took longer than 2 s and was killed: raise",
            marks=pytest.mark.e2e,
        ),
    ],
)
def test_a_child_that_fails(code: str, reason: str, make: Make, folder: Path) -> None:
    """One that dies or hangs is a failure of this recording."""
    with pytest.raises(HearingError, match=reason):
        make(folder, code, timeout_s=2).transcribe(PCM, "en")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (None, "has no model: set RR_STT_WHISPER_MODEL to its folder"),
        ([], "has no model.bin, config.json, tokenizer.json: it must be the folder of"),
        (FILES[:2], "has no tokenizer.json"),
    ],
)
def test_a_model_that_is_not_there(
    files: list[str] | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing folder or file is a wrong setting; nothing is downloaded."""
    monkeypatch.setattr("backend.hearing.factory.find_spec", lambda _: True)
    for name in files or ():
        (tmp_path / name).touch()
    model = tmp_path if files is not None else None

    with pytest.raises(SettingsError, match=words):
        create_hearing_engine("whisper", Settings(_env_file=None, stt_whisper_model=model))


def test_the_extra_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without faster-whisper the message says how to install it."""
    monkeypatch.setattr("backend.hearing.factory.find_spec", lambda _: None)

    with pytest.raises(SettingsError, match="uv sync --inexact --extra whisper"):
        create_hearing_engine("whisper", Settings(_env_file=None, stt_whisper_model=folder))
