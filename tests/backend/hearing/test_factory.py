"""Choosing what understands a visitor."""

from typing import Any

import pytest
from pydantic import SecretStr

from backend.config import Settings
from backend.errors import SettingsError
from backend.hearing import create_hearing, create_hearing_engine, factory
from backend.hearing.online import RemoteEngine


def engine(name: str, **values: Any) -> RemoteEngine:
    """Return the engine of a service, by settings without a `.env`."""
    built = create_hearing_engine(name, Settings(_env_file=None, **values))
    assert isinstance(built, RemoteEngine)
    return built


def test_openai_s_key_goes_to_openai_alone() -> None:
    """A server elsewhere gets its own key or none."""
    elsewhere: dict[str, Any] = {
        "openai_api_key": "sk-openai",
        "stt_openai_url": "http://localhost:8000/v1/",
    }

    at_openai = engine("openai", openai_api_key="sk-openai").service
    without = engine("openai", **elsewhere).service
    with_key = engine("openai", **elsewhere, stt_openai_api_key="sk-own").service

    assert ("https://api.openai.com/v1", {"authorization": "Bearer sk-openai"}) == (
        at_openai.url,
        at_openai.headers,
    )
    assert ("http://localhost:8000/v1", {}) == (without.url, without.headers)
    assert {"authorization": "Bearer sk-own"} == with_key.headers


def test_one_address_serves_voices_and_hearing() -> None:
    """ElevenLabs is asked at the address that its voices have."""
    scribe = engine(
        "elevenlabs", elevenlabs_api_key="sk-b", speech_elevenlabs_url="https://eu.example"
    )

    assert ("https://eu.example", "scribe_v1") == (scribe.service.url, scribe.model)


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("elevenlabs", {}, "hearing engine elevenlabs needs a key: set ELEVENLABS_API_KEY"),
        ("openai", {}, "hearing engine openai needs a key: set OPENAI_API_KEY"),
        ("openai", {"stt_openai_api_key": "sk-cänary"}, "RR_STT_OPENAI_API_KEY holds a space"),
    ],
)
def test_what_an_engine_lacks_is_told(name: str, values: dict[str, Any], words: str) -> None:
    """A missing or impossible key is a wrong setting, and is not shown."""
    with pytest.raises(SettingsError, match=words) as caught:
        create_hearing_engine(name, Settings(_env_file=None, **values))

    assert "nary" not in str(caught.value)


def test_a_language_that_no_engine_knows_is_a_wrong_setting() -> None:
    """It is refused at the start, where the artist sees it, and not with each visitor."""
    german = Settings(_env_file=None, stt_engine="embedded", stt_language="de")
    both = Settings(
        _env_file=None,
        stt_engine="embedded",
        stt_language="de",
        stt_fallback=("elevenlabs",),
        elevenlabs_api_key=SecretStr("sk-1"),
    )

    with pytest.raises(SettingsError, match="RR_STT_LANGUAGE=de: embedded does not know"):
        create_hearing(german, None)
    create_hearing(both, None).close()


def test_without_the_embedded_model_visitors_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where moonshine has no wheel, hearing is off with a reason, or the fallback is the first."""
    monkeypatch.setattr(factory, "find_spec", lambda _: None)
    alone = Settings(_env_file=None, stt_engine="embedded")
    other = alone.model_copy(
        update={"stt_fallback": ("elevenlabs",), "elevenlabs_api_key": SecretStr("sk-1")}
    )

    hearing = create_hearing(alone, None)
    assert ("disabled", factory.NO_WHEEL) == hearing.state()
    hearing.close()
    hearing = create_hearing(other, None)
    assert ("warming", "") == hearing.state()
    hearing.close()
