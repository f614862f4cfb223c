"""Fallbacks: every utterance is spoken, by one engine or another."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import pytest
from structlog.testing import capture_logs

from backend.errors import SpeechError
from backend.plugins.testing import Clock
from backend.services import PAUSE_AFTER, PAUSE_S
from backend.speech import SpeechEngine, Spoken
from backend.speech.children import EmbeddedEngine
from backend.speech.fallback import FallbackEngine

WORDS = "Rain."


@dataclass
class Failing:
    """An engine that fails as it is told, and counts how often it was asked."""

    name: str
    error: Exception | None = field(default_factory=lambda: SpeechError("no loudspeaker"))
    asked: int = 0
    closed: bool = False

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        self.asked += 1
        if self.error:
            raise self.error
        return Spoken(1, 22_050)

    def check(self) -> str:
        return "well"

    def close(self) -> None:
        self.closed = True


def voices(
    engines: Sequence[SpeechEngine], clock: Callable[[], float] = monotonic
) -> FallbackEngine:
    """Return what asks `engines` in turn."""
    return FallbackEngine(engines, label="the voice", error=SpeechError, clock=clock)


@pytest.mark.parametrize("error", [SpeechError("no loudspeaker"), ValueError("a bug")])
def test_the_next_engine_speaks(error: Exception, tmp_path: Path) -> None:
    """Whatever goes wrong with the first, the utterance is spoken, and one warning says why."""
    embedded = EmbeddedEngine(temporary=tmp_path / ".tmp")
    engine = voices([Failing("cloud", error), Failing("local"), embedded])

    with capture_logs() as logs:
        spoken = engine.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")

    assert spoken.duration_s > 0.2
    assert (tmp_path / "a.wav").is_file()
    (warning,) = [log for log in logs if log["log_level"] == "warning"]
    assert ("fallback used", "embedded") == (warning["event"], warning["engine"])
    assert {"cloud", "local"} == warning["reasons"].keys()
    assert WORDS not in str(logs)


def test_nobody_can_speak(tmp_path: Path) -> None:
    """When all fail, the error holds every reason, with each engine named once."""
    silent = Failing("local", SpeechError("local answered 500"))
    engine = voices([Failing("cloud"), silent])

    with pytest.raises(SpeechError, match=r"^cloud: no loudspeaker; local answered 500$"):
        engine.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")


def test_a_failing_engine_rests(tmp_path: Path) -> None:
    """After three failures in a row an engine is left alone for a minute, then tried again."""
    clock, cloud = Clock(), Failing("cloud")
    engine = voices([cloud, Failing("local", None)], clock)

    def speak(times: int) -> int:
        for _ in range(times):
            engine.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")
        return cloud.asked

    assert PAUSE_AFTER == speak(5)
    clock.now = PAUSE_S + 1
    assert PAUSE_AFTER + 1 == speak(5)
    clock.now *= 2
    cloud.error = None
    assert PAUSE_AFTER + 6 == speak(5)


def test_failures_with_successes_between_are_no_reason_to_rest(tmp_path: Path) -> None:
    """Only failures in a row count."""
    cloud = Failing("cloud")
    engine = voices([cloud, Failing("local", None)])

    for number in range(8):
        cloud.error = None if number % 2 else SpeechError("no loudspeaker")
        engine.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")

    assert 8 == cloud.asked


def test_the_last_engine_never_rests(tmp_path: Path) -> None:
    """There is nobody to speak instead, so it is asked however often it fails."""
    last = Failing("local")
    engine = voices([Failing("cloud"), last])

    for _ in range(5):
        with pytest.raises(SpeechError):
            engine.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")

    assert 5 == last.asked


def test_what_nobody_can_speak_is_no_failure(tmp_path: Path) -> None:
    """Text without a word is refused before any engine is asked."""
    cloud = Failing("cloud")

    with pytest.raises(SpeechError, match="nothing in the text"):
        voices([cloud]).generate_wav_to_file("?!", "calm_soothing", tmp_path / "a.wav")

    assert 0 == cloud.asked


def test_closing_closes_all(tmp_path: Path) -> None:
    """Closed, no engine is asked any more."""
    cloud, local = Failing("cloud"), Failing("local", None)
    engine = voices([cloud, local])

    engine.close()

    with pytest.raises(SpeechError, match="the voice was stopped with the installation"):
        engine.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")
    assert (True, True, 0, 0) == (cloud.closed, local.closed, cloud.asked, local.asked)
    assert ("cloud", "cloud: well; local: well") == (engine.name, engine.check())
