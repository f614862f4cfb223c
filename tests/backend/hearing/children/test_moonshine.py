"""The embedded hearing, with the real model in a real child."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import soxr

from backend.children import child_command
from backend.errors import HearingError
from backend.hearing.children import EmbeddedEngine, moonshine_child
from backend.hearing.engine import SAMPLE_RATE
from tests.patience import SOON_S
from tests.recordings import NEEDS_MOONSHINE, RATE, spoken, word_errors

pytestmark = [
    pytest.mark.e2e,
    NEEDS_MOONSHINE,
]

SENTENCES = (
    "Tell me about the sea and the people who live near it.",
    "I would like to know why you are so quiet tonight.",
    "The night is long, and I want to ask you a question.",
    "There is a house by the river where my family used to live.",
)
MAX_WORD_ERRORS = 0.25
"""A bound that only a broken engine misses; the figures come from `tests.benchmarks.hearing`."""


def pcm(text: str, folder: Path) -> bytes:
    """Return `text` as engines get it."""
    y = soxr.resample(spoken(text, folder), RATE, SAMPLE_RATE)
    return bytes(np.round(np.clip(y, -1, 1) * 32_767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def hearing() -> Iterator[EmbeddedEngine]:
    """Return the engine, its model loaded."""
    engine = EmbeddedEngine(timeout_s=120)
    assert "English" in engine.check()
    yield engine
    engine.close()


def test_sentences_are_understood(hearing: EmbeddedEngine, tmp_path: Path) -> None:
    """Most words of a synthetic voice come back, in one child that needs little memory."""
    understood = [hearing.transcribe(pcm(text, tmp_path), "en").text for text in SENTENCES]

    errors = [word_errors(*pair) for pair in zip(SENTENCES, understood, strict=True)]
    assert sum(one for one, _ in errors) <= MAX_WORD_ERRORS * sum(n for _, n in errors), understood
    (process,) = hearing._children._idle
    assert psutil.Process(process.pid).memory_info().rss < 250e6


def test_a_minute_does_not_fall_into_repetition(hearing: EmbeddedEngine, tmp_path: Path) -> None:
    """All sentences of a long recording come once and in order."""
    texts = SENTENCES * 4
    recording = b"".join(pcm(text, tmp_path) + bytes(SAMPLE_RATE) for text in texts)
    recording = recording[: 60 * 2 * SAMPLE_RATE]

    understood = hearing.transcribe(recording, "en").text

    n_words = len(" ".join(texts).split()) * min(1, 120 * SAMPLE_RATE / len(recording))
    assert 0.7 * n_words < len(understood.split()) < 1.2 * n_words


def test_silence_is_no_words(hearing: EmbeddedEngine) -> None:
    """The model is not asked about silence, to which it says "You"."""
    assert "" == hearing.transcribe(bytes(6 * SAMPLE_RATE), "en").text


def test_many_at_once_are_told_apart(hearing: EmbeddedEngine, tmp_path: Path) -> None:
    """Each thread gets the words of its own recording."""
    recordings = [pcm(text, tmp_path) for text in SENTENCES]
    alone = [hearing.transcribe(one, "en").text for one in recordings]

    with ThreadPoolExecutor(len(recordings)) as pool:
        together = list(pool.map(lambda one: hearing.transcribe(one, "en").text, recordings))

    assert alone == together


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_child_is_replaced(hearing: EmbeddedEngine, tmp_path: Path) -> None:
    """The next recording is understood, by a child that has loaded the model again."""
    (process,) = hearing._children._idle
    os.kill(process.pid, signal.SIGKILL)

    assert hearing.transcribe(pcm(SENTENCES[0], tmp_path), "en").text


def test_where_there_is_no_wheel_it_says_so() -> None:
    """The other engines are named."""
    without_packages = child_command(Path(moonshine_child.__file__), "-S")
    engine = EmbeddedEngine(timeout_s=SOON_S, command=without_packages)

    with pytest.raises(HearingError, match="no wheel for this machine: set RR_STT_ENGINE to wh"):
        engine.check()
    engine.close()
