"""Settings: read once, checked at start, and explained in the artist's words."""

from pathlib import Path

import pytest
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from backend.config import PREFIX, Settings
from backend.errors import SettingsError
from backend.plugins import PluginSettings
from backend.settings_report import REDACTED, effective, unknown_variables, variables


class LightSettings(PluginSettings):
    """Settings of a plugin that tests make up."""

    model_config = SettingsConfigDict(env_prefix="RR_LIGHT_")

    level: int = Field(3, ge=0, description="How bright.")


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty directory with no variable of ours set."""
    monkeypatch.chdir(tmp_path)
    for name in (*variables(Settings), *variables(LightSettings)):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_environment_wins_over_env_file_and_default(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable beats `.env`, which beats the default; the command line beats them all."""
    (empty_place / ".env").write_text("RR_PORT=8101\nRR_LOG_LEVEL=DEBUG\n", encoding="utf-8")
    monkeypatch.setenv("RR_PORT", "8202")

    settings = Settings.load(host="::1")

    assert ("::1", 8202, "debug", Path("artifacts")) == (
        settings.host,
        settings.port,
        settings.log_level,
        settings.artifacts_dir,
    )
    sources = {row.variable: row.source for row in effective(settings)}
    assert ["command line", "environment", ".env", "default"] == [
        sources[name] for name in ("RR_HOST", "RR_PORT", "RR_LOG_LEVEL", "RR_ARTIFACTS_DIR")
    ]


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """`RR_PORT=` in a copied `.env` means the default."""
    monkeypatch.setenv("RR_PORT", "")

    assert 8000 == Settings.load().port


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RR_PORT", "99999"),
        ("RR_PORT", "eight"),
        ("RR_LOG_LEVEL", "loud"),
        ("RR_MAX_SESSIONS", "0"),
        ("RR_SPEECH_TIMEOUT_S", "-1"),
        ("RR_SPEECH_ENGINE", "parrot"),
        ("RR_SPEECH_FALLBACK", "parrot"),
        ("RR_SPEECH_OPENAI_URL", "localhost:8880"),
        ("RR_CORS_ORIGINS", "localhost:5173"),
        ("RR_SEED", "-3"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """The message holds the variable and the value that is wrong, on one line."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        Settings.load()

    assert name in str(caught.value)
    assert value in str(caught.value)
    assert 1 == len(str(caught.value).splitlines())


@pytest.mark.parametrize("token", ["Wässer-canary", "two canary words", "tab\tcanary"])
def test_a_token_that_no_header_can_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """Nobody could ever send it; the message does not show it."""
    monkeypatch.setenv("RR_API_TOKEN", token)

    with pytest.raises(SettingsError, match=r"RR_API_TOKEN=.*ASCII") as caught:
        Settings.load()

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_an_env_file_in_another_encoding_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """What some editors save is told in words, like every other wrong setting."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("RR_ARTIFACTS_DIR=Bühne\n", encoding=encoding)

    with pytest.raises(SettingsError, match=r"\.env is not UTF-8"):
        Settings.load()


def test_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several web clients can be allowed in one line."""
    monkeypatch.setenv("RR_CORS_ORIGINS", "http://localhost:5173, https://show.example")

    assert ("http://localhost:5173", "https://show.example") == Settings.load().cors_origins


def test_fallbacks_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several engines can stand behind one, or none."""
    monkeypatch.setenv("RR_SPEECH_FALLBACK", "openai, embedded")
    several = Settings.load().speech_fallback
    monkeypatch.setenv("RR_SPEECH_FALLBACK", "none")

    assert (("openai", "embedded"), ()) == (several, Settings.load().speech_fallback)


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is redacted in every form the settings take."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")

    settings = Settings.load()
    shown = {row.variable: row.value for row in effective(settings)}

    assert SecretStr("sk-canary") == settings.openai_api_key
    assert REDACTED == shown["OPENAI_API_KEY"]
    assert "canary" not in repr(settings) + repr(effective(settings))


def test_an_unknown_variable_comes_with_the_nearest_known_name(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelling is found in the environment and in `.env`; a plugin's variables are known."""
    (empty_place / ".env").write_text("RR_LIGHT_LEVLE=1\n", encoding="utf-8")
    monkeypatch.setenv("RR_PROT", "1")
    monkeypatch.setenv("RR_LIGHT_LEVEL", "1")
    monkeypatch.setenv("RR_QQQQQQQQQQQQQQQQQQQQQQ", "1")

    unknown = unknown_variables(PREFIX, [Settings, LightSettings])

    assert [
        ("RR_LIGHT_LEVLE", "RR_LIGHT_LEVEL"),
        ("RR_PROT", "RR_PORT"),
        ("RR_QQQQQQQQQQQQQQQQQQQQQQ", None),
    ] == unknown


@pytest.mark.parametrize("settings", [Settings, LightSettings])
def test_every_setting_says_what_it_means(settings: type[PluginSettings]) -> None:
    """`config` explains each setting."""
    assert all(field.description for field in variables(settings).values())
