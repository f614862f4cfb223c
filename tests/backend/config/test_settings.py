"""Settings: read once, checked at start, and explained in the artist's words."""

import shutil
import textwrap
from pathlib import Path
from typing import Annotated, get_origin

import pytest
from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.config import PREFIX, REPLACED, Settings, effective, read_settings, unread
from backend.config.report import variables
from backend.config.wording import REDACTED
from backend.errors import PluginError, SettingsError
from backend.plugins import Listed, PluginSettings, discover
from plugins.osc.settings import OscSettings
from plugins.webhook.settings import WebhookSettings

LISTS = {
    "cors_origins": ("http://localhost:5173", "https://show.example"),
    "allowed_hosts": ("show.local", "10.0.0.5"),
    "trusted_proxies": ("10.0.0.5/32", "192.168.0.0/24"),
    "speech_fallback": ("openai", "embedded"),
    "stt_fallback": ("openai", "embedded"),
    "targets": ("127.0.0.1:7000", "[::1]:9000"),
    "urls": ("https://a.org/hook", "http://[::1]:9000/"),
    "signals": ("tts_written", "session_finished"),
    "profiles": ("slots", "faraday"),
    "faraday_ceiling_db": ("-1", "-6"),
    "faraday_notch_hz": ("24", "31"),
}
"""Each setting that holds several values, and two of them."""


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
    ("name", "value", "allowed"),
    [
        ("RR_PORT", "99999", "a whole number, at least 1 and at most 65535, such as 8000"),
        ("RR_PORT", "eight", "a whole number, at least 1 and at most 65535, such as 8000"),
        ("RR_LOG_LEVEL", "loud", "one of debug, info, warning, error, such as info"),
        ("RR_TRACE_SIGNALS", "maybe", "true or false, such as false"),
        ("RR_SPEECH_TIMEOUT_S", "-1", "a number, above 0 and at most 600, such as 20"),
        ("RR_AGENT_TEMPERATURE", "hot", "a number, at least 0 and at most 2, such as 0"),
        ("RR_SPEECH_ENGINE", "parrot", "one of embedded, elevenlabs, openai, piper, such as "),
        ("RR_SPEECH_FALLBACK", "parrot", "piper, separated by commas, such as embedded"),
        ("RR_SPEECH_OPENAI_URL", "localhost:8880", "write it like http://localhost:8880/v1"),
        ("RR_CORS_ORIGINS", "localhost:5173", "write it like http://localhost:5173"),
        ("RR_SEED", "-3", "a whole number, at least 0 and below 9223372036854775808, such as 0"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    """The message is one line with the variable, the wrong value, what is allowed, an example."""
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as caught:
        Settings.load()

    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{name}={value!r}: ")
    assert allowed in line


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({}, "RR_STAGE_FOLDER: is missing; it must be a path"),
        ({"folder": 3}, "RR_STAGE_FOLDER=3: must be a path"),
        (
            {"folder": "x", "pin": "123"},
            "RR_STAGE_PIN='123': must be a text, at least 4 characters",
        ),
        (
            {"folder": "x", "weights": (1, 2)},
            "RR_STAGE_WEIGHTS=(1, 2): must be six values, separated by commas, each a number, "
            "at least 0, such as 1, 1, 1, 1, 1, 1",
        ),
        (
            {"folder": "x", "where": "nats://show:se/c@ret@host" + "x" * 80},
            "RR_STAGE_WHERE='nats://********@hostx",
        ),
        (
            {"folder": "x", "where": "show:" + "secret" * 20 + "@host"},
            "RR_STAGE_WHERE='********@host': must be a text, such as nats://host",
        ),
        (
            {"folder": "x", "lamps": {"a": "b"}},
            "RR_STAGE_LAMPS={'a': 'b'}: Input should be a valid",
        ),
    ],
)
def test_a_setting_of_each_type_is_explained(given: dict[str, object], wrong: str) -> None:
    """A path, a text and one that is missing too; a type without our words has pydantic's."""

    class StageSettings(BaseSettings):
        model_config = SettingsConfigDict(env_prefix="RR_STAGE_")
        folder: Path
        pin: str = Field("0000", min_length=4)
        lamps: list[int] = []
        weights: Listed[Annotated[float, Field(ge=0)]] = Field((1,) * 6, min_length=6, max_length=6)
        where: str = Field("", pattern="^nats://[a-z]{1,9}$", examples=["nats://host"])

    with pytest.raises(SettingsError) as caught:
        read_settings(StageSettings, SettingsError, **given)

    assert str(caught.value).startswith(wrong)


@pytest.mark.parametrize("token", ["Wässer-canary", "two canary words", "tab\tcanary"])
def test_a_token_that_no_header_can_hold_is_refused(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    """Nobody could ever send it; the message does not show it."""
    monkeypatch.setenv("RR_API_TOKEN", token)

    with pytest.raises(SettingsError, match=r"RR_API_TOKEN=.*ASCII") as caught:
        Settings.load()

    assert "canary" not in str(caught.value)


def test_transcripts_are_not_kept_without_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that contradict each other about what visitors say are refused."""
    monkeypatch.setenv("RR_STT_KEEP", "true")
    monkeypatch.setenv("RR_KEEP_TEXTS", "false")

    with pytest.raises(SettingsError, match=r"RR_STT_KEEP.*RR_KEEP_TEXTS"):
        Settings.load()


@pytest.mark.parametrize("encoding", ["cp1252", "cp437"])
def test_an_env_file_in_another_encoding_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """What some editors save is told in words, like every other wrong setting."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("RR_ARTIFACTS_DIR=Bühne\n", encoding=encoding)

    with pytest.raises(SettingsError, match=r"\.env, line 1: is not UTF-8"):
        Settings.load()


def test_values_are_shown_as_they_are_written() -> None:
    """`config` shows what can be copied into `.env`."""
    settings = Settings(allow_open_lan=True, request_limit_s=2.5, cors_origins=("*", "http://a"))

    rows = {row.variable: row.value for row in effective(settings)}

    assert ("true", "false", "2.5", "30", "*, http://a", "") == (
        *(rows["RR_ALLOW_OPEN_LAN"], rows["RR_TRACE_SIGNALS"]),
        *(rows["RR_REQUEST_LIMIT_S"], rows["RR_AGENT_TIMEOUT_S"]),
        *(rows["RR_CORS_ORIGINS"], rows["RR_SEED"]),
    )


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key is redacted in every form the settings take."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")

    settings = Settings.load()
    shown = {row.variable: row.value for row in effective(settings)}

    assert SecretStr("sk-canary") == settings.openai_api_key
    assert REDACTED == shown["OPENAI_API_KEY"]
    assert "canary" not in repr(settings) + repr(effective(settings))


def test_a_secret_of_a_plugin_is_redacted_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown neither where it is right nor where it is wrong; one that is not set is empty."""

    class TideSettings(LightSettings):
        secret: SecretStr = Field(SecretStr(""), max_length=9)
        password: SecretStr = Field(SecretStr(""))

    monkeypatch.setenv("RR_LIGHT_SECRET", "canary")
    shown = {row.variable: row.value for row in effective(TideSettings.load())}
    monkeypatch.setenv("RR_LIGHT_SECRET", "canary too long")

    assert (REDACTED, "") == (shown["RR_LIGHT_SECRET"], shown["RR_LIGHT_PASSWORD"])
    with pytest.raises(PluginError) as caught:
        TideSettings.load()
    assert "RR_LIGHT_SECRET" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "name", "field"),
    [
        (Settings, "RR_CORS_ORIGINS", "cors_origins"),
        (Settings, "RR_ALLOWED_HOSTS", "allowed_hosts"),
        (Settings, "RR_TRUSTED_PROXIES", "trusted_proxies"),
        (Settings, "RR_SPEECH_FALLBACK", "speech_fallback"),
        (OscSettings, "RR_OSC_TARGETS", "targets"),
        (WebhookSettings, "RR_WEBHOOK_URLS", "urls"),
        (WebhookSettings, "RR_WEBHOOK_SIGNALS", "signals"),
    ],
)
def test_every_list_is_separated_by_commas_or_json(
    monkeypatch: pytest.MonkeyPatch, settings: type[BaseSettings], name: str, field: str
) -> None:
    """`a, b`, `["a", "b"]`, `[]` and `none` are lists; half a JSON list is named as such."""
    one, other = LISTS[field]
    found = []
    for written in (f"{one}, {other}", f'["{one}", "{other}"]', "[]", "none"):
        monkeypatch.setenv(name, written)
        found.append(tuple(map(str, getattr(settings(), field))))
    assert [(one, other), (one, other), (), ()] == found

    for wrong in (f'["{one}"', f"['{one}']", "[1]"):
        monkeypatch.setenv(name, wrong)
        with pytest.raises(ValidationError, match=r'write a, b or \["a", "b"\]'):
            settings()


def test_every_setting_of_several_values_is_such_a_list() -> None:
    """No settings class reads a list in a way of its own."""
    classes: list[type[BaseSettings]] = [Settings]
    classes += [item.plugin.settings for item in discover() if item.plugin]
    listed = {
        name
        for cls in classes
        for name, field in cls.model_fields.items()
        if get_origin(field.annotation) in {tuple, list, set}
    }

    assert LISTS.keys() == listed


def test_an_address_in_brackets_is_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPv6 address may begin a list."""
    monkeypatch.setenv("RR_ALLOWED_HOSTS", "[::1], show.local")

    assert ("[::1]", "show.local") == Settings.load().allowed_hosts


def test_the_settings_file_of_an_earlier_version_is_taken(
    empty_place: Path, project_root: Path
) -> None:
    """What we have takes its value from the earlier name; the rest is named."""
    shutil.copy(project_root / "tests/data/earlier.env", empty_place / ".env")

    settings = Settings.load()

    assert (("http://localhost:5173", "http://localhost:4173"), "info", 60, 3, 0.7, 500) == (
        settings.cors_origins,
        settings.log_level,
        settings.agent_timeout_s,
        settings.agent_retries,
        settings.agent_temperature,
        settings.agent_max_tokens,
    )
    sources = {row.variable: row.source for row in effective(settings)}
    assert ".env, RR_TIMEOUT_S" == sources["RR_AGENT_TIMEOUT_S"]
    assert list(REPLACED) == [one.name for one in unread(PREFIX, [Settings], replaced=REPLACED)]


def test_the_present_name_beats_the_earlier_one(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set twice, the present name counts, unless it is empty; a wrong value is told by its name."""
    (empty_place / ".env").write_text(
        "RR_RETRIES=3\nRR_AGENT_RETRIES=1\nRR_TIMEOUT_S=50\n", encoding="utf-8"
    )
    monkeypatch.setenv("RR_AGENT_TIMEOUT_S", "")

    settings = Settings.load()
    assert (1, 50) == (settings.agent_retries, settings.agent_timeout_s)
    assert (0, 5) == (
        Settings.load(agent_retries=0).agent_retries,
        Settings(agent_timeout_s=5).agent_timeout_s,
    )

    monkeypatch.setenv("RR_TIMEOUT_S", "soon")
    with pytest.raises(SettingsError, match="RR_TIMEOUT_S='soon'"):
        Settings.load()


def test_the_key_of_google_has_two_names(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's own library reads GEMINI_API_KEY too, so nobody is told that it is not read."""
    monkeypatch.setenv("GEMINI_API_KEY", "sk-canary")

    key = Settings.load().google_api_key

    assert key is not None
    assert "sk-canary" == key.get_secret_value()
    assert [] == unread(PREFIX, [Settings])


def test_an_earlier_name_is_not_suggested(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A misspelling gets the name of today."""
    monkeypatch.setenv("RR_SPEECH_ELEVENLABS_DEFAULT_MODEL", "1")

    (found,) = unread(PREFIX, [Settings])

    assert "RR_SPEECH_ELEVENLABS_MODEL" == found.nearest


def test_whatever_nothing_reads_is_named(
    empty_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Misspelt names, lines without a value and lines set again, with the nearest known name."""
    lines = """
    # a comment
    RR_LIGHT_LEVLE=1
    OPENAI_KEY=sk-canary
    rr_prot=1

    RR_PORT 8000
    AIzaSyCanary0123456789
    rr_light_level=1
    RR_LIGHT_LEVEL=2
    RR_HOST=
    OPENROUTER_API_KEY=sk-canary
    openrouter_api_key=sk-canary
    RR_TTS_OUTPUT_FORMAT=pcm_24000
    RR_DARK_LEVEL=1
    ZZZZZZ=1
    """
    text = "\ufeff" + textwrap.dedent(lines).lstrip()
    (empty_place / ".env").write_text(text, encoding="utf-8")
    monkeypatch.setenv("RR_QQQQQQQQQQQQQQQQQQQQQQ", "1")

    found = unread(
        PREFIX,
        [Settings, LightSettings],
        keys=["OPENROUTER_API_KEY"],
        replaced=REPLACED,
        broken={"RR_DARK_": "no module"},
    )

    assert [
        ("RR_QQQQQQQQQQQQQQQQQQQQQQ", "environment", None, True),
        ("RR_LIGHT_LEVLE", ".env, line 2", "RR_LIGHT_LEVEL", True),
        ("OPENAI_KEY", ".env, line 3", "OPENAI_API_KEY", True),
        ("rr_prot", ".env, line 4", "RR_PORT", True),
        ("RR_PORT", ".env, line 6", None, True),
        ("", ".env, line 7", None, True),
        ("rr_light_level", ".env, line 8", None, True),
        ("openrouter_api_key", ".env, line 12", "OPENROUTER_API_KEY", True),
        ("RR_TTS_OUTPUT_FORMAT", ".env, line 13", None, False),
        ("RR_DARK_LEVEL", ".env, line 14", None, True),
        ("ZZZZZZ", ".env, line 15", None, False),
    ] == [(one.name, one.where, one.nearest, one.is_mistake) for one in found]
    reasons = {one.name: one.reason for one in found}
    assert "line 9 sets it again" == reasons["rr_light_level"]
    assert "its plugin cannot be loaded: no module" == reasons["RR_DARK_LEVEL"]
    assert "anary" not in str([*map(str, found)])


def test_a_file_with_a_byte_order_mark_is_read_from_its_first_line(empty_place: Path) -> None:
    """Editors on Windows may begin a file with one."""
    (empty_place / ".env").write_text("RR_PORT=8101\n", encoding="utf-8-sig")

    assert 8101 == Settings.load().port


@pytest.mark.parametrize("settings", [Settings, LightSettings])
def test_every_setting_says_what_it_means(settings: type[PluginSettings]) -> None:
    """`config` explains each setting."""
    assert all(field.description for field in variables(settings).values())
