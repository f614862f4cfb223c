"""Piper, with real child processes; its own code runs on a tiny voice that is built here."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import psutil
import pytest

from backend.config import Settings
from backend.errors import SettingsError, SpeechError
from backend.speech import PROFILES, create_speech
from backend.speech.children import PiperEngine
from backend.speech.sound import pitch_range
from backend.speech.sound.loudness import TARGET_DBFS, active_level
from backend.speech.voices import Voice
from tests.backend.speech.children import tiny_piper
from tests.backend.speech.sounds import read
from tests.patience import SOON_S, until

WORDS = "I am the water, and I have been listening to you."
installed = pytest.mark.skipif(
    not (find_spec("piper") and find_spec("onnx")),
    reason="Piper is not installed: uv sync --group piper",
)
posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
Make = Callable[..., PiperEngine]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return a voice that hums."""
    return tiny_piper.build(tmp_path / "tiny.onnx")


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return what makes an engine; it is closed with the test, and leaves no child behind."""
    before = set(psutil.Process().children())
    engines = []

    def start(voice: Voice, code: str | None = None, timeout_s: float = 60) -> PiperEngine:
        command = {} if code is None else {"command": (sys.executable, "-I", "-c", code)}
        engine = PiperEngine(
            dict.fromkeys(PROFILES, voice),
            temporary=tmp_path / ".tmp",
            timeout_s=timeout_s,
            **command,  # type: ignore[arg-type]  # one key, of its own type
        )
        engines.append(engine)
        return engine

    yield start
    for engine in engines:
        engine.close()
    _, alive = psutil.wait_procs(set(psutil.Process().children()) - before, SOON_S)
    assert [] == alive


def refusal(engine: PiperEngine, path: Path) -> str:
    """Return why `engine` does not speak; the words are not in it."""
    with pytest.raises(SpeechError) as caught:
        engine.generate_wav_to_file(WORDS, "calm_soothing", path)
    assert not path.exists()
    assert "listening" not in str(caught.value)
    return str(caught.value)


@installed
def test_a_voice_speaks(model: Path, make: Make, tmp_path: Path) -> None:
    """Piper's phonemes become sound of the model's rate and pitch, at the one loudness."""
    engine = make(Voice(model=str(model)))

    spoken = engine.generate_wav_to_file(WORDS, "calm_soothing", tmp_path / "a.wav")

    y, sample_rate = read(tmp_path / "a.wav")
    assert tiny_piper.SAMPLE_RATE == sample_rate == spoken.sample_rate
    assert 2 < spoken.duration_s < 10
    assert TARGET_DBFS == pytest.approx(active_level(y, sample_rate), abs=0.5)
    low, high = pitch_range(y, sample_rate) or (0, 0)
    assert tiny_piper.HUM_HZ == pytest.approx(low, rel=0.03) == pytest.approx(high, rel=0.03)
    assert str(model) == engine.check()


@installed
def test_speed_and_text_change_the_length(model: Path, make: Make, tmp_path: Path) -> None:
    """Twice the speed is half as long, and one child speaks one utterance after another."""
    path = tmp_path / "a.wav"
    usual, quick = make(Voice(model=str(model))), make(Voice(model=str(model), speed=2))

    one = usual.generate_wav_to_file("Water.", "calm_soothing", path).duration_s
    many = usual.generate_wav_to_file(WORDS, "calm_soothing", path).duration_s
    half = quick.generate_wav_to_file(WORDS, "calm_soothing", path).duration_s

    assert many > 3 * one
    assert many / 2 == pytest.approx(half, rel=0.02)
    assert 2 == len(
        [c for c in psutil.Process().children() if "piper_child.py" in " ".join(c.cmdline())]
    )


@installed
def test_many_at_once_share_few_children(model: Path, make: Make, tmp_path: Path) -> None:
    """Six utterances at once are spoken by two children at most."""
    engine = make(Voice(model=str(model)))

    with ThreadPoolExecutor(6) as pool:
        spoken = list(
            pool.map(
                lambda n: engine.generate_wav_to_file(WORDS, "robot", tmp_path / f"{n}.wav"),
                range(6),
            )
        )

    assert 1 == len({item.duration_s for item in spoken})
    assert len(engine._children._idle) <= 2


@installed
@pytest.mark.parametrize("content", [b"", b"water"])
def test_a_broken_model_is_told(content: bytes, model: Path, make: Make, tmp_path: Path) -> None:
    """A model that cannot be loaded fails the utterance, not the child."""
    good = model.read_bytes()
    engine = make(Voice(model=str(model)))
    model.write_bytes(content)

    assert "piper failed" in refusal(engine, tmp_path / "a.wav")

    model.write_bytes(good)
    assert engine.generate_wav_to_file(WORDS, "robot", tmp_path / "b.wav").duration_s > 2


@installed
def test_a_missing_model_is_told(make: Make, tmp_path: Path) -> None:
    """The check names the file that is not there; a profile without a model is a wrong setting."""
    engine = make(Voice(model=str(tmp_path / "nothing.onnx")))

    with pytest.raises(SpeechError, match=r"nothing\.onnx is missing"):
        engine.check()
    with pytest.raises(SettingsError, match="RR_SPEECH_PIPER_MODEL"):
        create_speech(Settings(_env_file=None, speech_engine="piper"), tmp_path)


@installed
def test_the_settings_lead_to_piper(model: Path, tmp_path: Path) -> None:
    """With its two lines of `.env` every profile speaks through Piper."""
    settings = Settings(
        _env_file=None, speech_engine="piper", speech_fallback="none", speech_piper_model=model
    )
    speech = create_speech(settings, tmp_path / ".tmp")

    spoken = speech.generate_wav_to_file(WORDS, "warm_professional", tmp_path / "a.wav")
    speech.close()

    assert ("piper", tiny_piper.SAMPLE_RATE) == (speech.name, spoken.sample_rate)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("pass", "sent 0 bytes, not the None"),
        ("input(); print('[]', flush=True); input()", "exit code 1"),
        ("input(); print('water', flush=True); input()", "exit code 1"),
        ("input(); print('{\"n_bytes\": 9}'); print('abc')", "sent 4 bytes, not the 9"),
        ("input(); print('{\"n_bytes\": -1}')", "sent 0 bytes, not the -1"),
        ('input(); print(\'{"error": "ValueError"}\')', "piper failed: ValueError"),
        ('input(); print(\'{"n_bytes": 0, "sample_rate": 1}\')', "1 Hz"),
        pytest.param("import os; os.abort()", "ended by SIGABRT", marks=posix),
    ],
)
def test_a_child_that_fails(code: str, reason: str, make: Make, tmp_path: Path) -> None:
    """A child that dies, stops half-way or answers nonsense is never taken for done."""
    assert reason in refusal(make(Voice(model="a.onnx"), code), tmp_path / "a.wav")


def test_a_hanging_child_is_killed(make: Make, tmp_path: Path) -> None:
    """A child that hangs is killed at the time limit, which the message names."""
    engine = make(Voice(model="a.onnx"), "import time; time.sleep(600)", timeout_s=0.4)

    assert "took longer than 0.4 s" in refusal(engine, tmp_path / "a.wav")


def test_closing_ends_a_hanging_child(make: Make, tmp_path: Path) -> None:
    """Closed by another thread, an utterance that hangs ends at once; later ones are refused."""
    beacon = tmp_path / "started"
    code = f"open({str(beacon)!r}, 'w'); import time; time.sleep(600)"
    engine = make(Voice(), code, timeout_s=3 * SOON_S)

    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(refusal, engine, tmp_path / "a.wav")
        until(lambda: beacon.exists() or hanging.done(), "the voice hangs")
        assert not hanging.done()
        started = monotonic()
        engine.close()
        reason = hanging.result(SOON_S)

    assert "piper was stopped with the installation" == reason
    assert monotonic() - started < SOON_S
    assert reason == refusal(engine, tmp_path / "b.wav")
