"""Choosing an engine."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backend.config import Settings
from backend.errors import SettingsError, SpeechError
from backend.speech import SpeechEngine, create_engine, create_speech
from backend.speech.children import EmbeddedEngine
from backend.speech.fallback import FallbackEngine
from backend.speech.online import RemoteEngine


def test_the_embedded_engine_speaks(tmp_path: Path) -> None:
    """The engine called `embedded` needs no key and no network."""
    engine: SpeechEngine = create_engine(
        "embedded", settings(tmp_path), temporary=tmp_path / ".tmp", timeout_s=20
    )

    spoken = engine.generate_wav_to_file("Hello.", "friendly_casual", tmp_path / "hello.wav")

    assert engine.name == "embedded"
    assert spoken.duration_s > 0.2


def settings(tmp_path: Path, **values: Any) -> Settings:
    """Return settings with these values and no `.env`."""
    return Settings(_env_file=None, artifacts_dir=tmp_path, **values)


def test_a_fallback_stands_behind_the_engine(tmp_path: Path) -> None:
    """The engine that was chosen is asked first, then its fallbacks, each once."""
    chosen = settings(
        tmp_path,
        speech_engine="openai",
        speech_fallback="elevenlabs, openai, embedded",
        openai_api_key="sk-a",
        elevenlabs_api_key="sk-b",
    )

    speech = create_speech(chosen, tmp_path)

    assert isinstance(speech, FallbackEngine)
    assert ["openai", "elevenlabs", "embedded"] == [engine.name for engine in speech.engines]


def test_without_a_fallback_the_engine_stands_alone(tmp_path: Path) -> None:
    """The embedded engine needs nobody behind it; `none` leaves a service alone."""
    alone = settings(
        tmp_path, speech_engine="openai", speech_fallback="none", openai_api_key="sk-a"
    )

    assert "embedded" == create_speech(settings(tmp_path), tmp_path).name
    assert isinstance(create_speech(settings(tmp_path), tmp_path), EmbeddedEngine)
    assert isinstance(create_speech(alone, tmp_path), RemoteEngine)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"speech_engine": "elevenlabs"}, "set ELEVENLABS_API_KEY"),
        ({"speech_engine": "openai"}, "set OPENAI_API_KEY"),
        ({"speech_fallback": "openai"}, "set OPENAI_API_KEY"),
        ({"speech_engine": "elevenlabs", "elevenlabs_api_key": "sk-can\nary"}, "no key has"),
        ({"speech_engine": "elevenlabs", "elevenlabs_api_key": "sk-cänary"}, "no key has"),
    ],
)
def test_what_an_engine_lacks_is_told(
    values: dict[str, object], words: str, tmp_path: Path
) -> None:
    """A missing or impossible key is a wrong setting, and is not shown."""
    with pytest.raises(SettingsError, match=words) as caught:
        create_speech(settings(tmp_path, **values), tmp_path)

    assert "nary" not in str(caught.value)


def test_openai_s_key_goes_to_openai_alone(tmp_path: Path) -> None:
    """A server elsewhere gets its own key or none."""
    elsewhere = settings(
        tmp_path, openai_api_key="sk-openai", speech_openai_url="http://localhost:8880/v1"
    )
    with_key = elsewhere.model_copy(update={"speech_openai_api_key": SecretStr("sk-own")})

    def headers(chosen: Settings) -> object:
        engine = create_engine("openai", chosen, temporary=tmp_path)
        assert isinstance(engine, RemoteEngine)
        return engine.service.headers

    assert {"authorization": "Bearer sk-openai"} == headers(
        settings(tmp_path, openai_api_key="sk-openai")
    )
    assert {} == headers(elsewhere)
    assert {"authorization": "Bearer sk-own"} == headers(with_key)


def test_voices_toml_reaches_the_embedded_voice(tmp_path: Path) -> None:
    """A speed in the file makes the embedded voice slower."""
    (tmp_path / "voices.toml").write_text("[embedded.calm_soothing]\nspeed = 0.6\n", "utf-8")
    slow = create_speech(settings(tmp_path, voices_file=tmp_path / "voices.toml"), tmp_path)
    usual = create_speech(settings(tmp_path), tmp_path)

    durations = [
        engine.generate_wav_to_file("The rain, again.", "calm_soothing", tmp_path / "a.wav")
        for engine in (slow, usual)
    ]

    assert durations[0].duration_s > 1.3 * durations[1].duration_s


def test_voices_toml_limits_the_embedded_voice(tmp_path: Path) -> None:
    """With `max_requests = 1` a second utterance waits for the first, within its time limit."""
    (tmp_path / "voices.toml").write_text("[embedded]\nmax_requests = 1\n", "utf-8")
    chosen = settings(tmp_path, voices_file=tmp_path / "voices.toml")
    engine = create_engine("embedded", chosen, temporary=tmp_path / ".tmp", timeout_s=0.2)
    assert isinstance(engine, EmbeddedEngine)

    with engine._children._places, pytest.raises(SpeechError, match=r"was busy for 0\.2 s"):
        engine.generate_wav_to_file("Rain.", "calm_soothing", tmp_path / "a.wav")


@pytest.mark.e2e
def test_what_is_not_used_is_not_imported() -> None:
    """The embedded engine costs neither an HTTP client nor Piper."""
    code = (
        "import sys; from pathlib import Path; from backend.speech import create_engine; "
        "from backend.config import Settings; "
        "create_engine('embedded', Settings(), temporary=Path('.')); "
        "print([n for n in ('httpx2', 'piper', 'onnxruntime', 'scipy', 'librosa', 'numba') "
        "if n in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]" == done.stdout.strip()
