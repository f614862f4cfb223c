"""The settings of the host, read from the environment and `.env` and checked at the start."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Self

from pydantic import AliasChoices, Field, IPvAnyNetwork, SecretStr, field_validator, model_validator

from backend.config.env_file import FromEnvironment
from backend.config.lists import Listed
from backend.config.origins import origin_of, split_host
from backend.config.report import read_settings
from backend.config.tls import server_context
from backend.errors import SettingsError

PREFIX = "RR_"
LogLevel = Literal["debug", "info", "warning", "error"]
LEVELS_ELSEWHERE: Final = {"warn": "warning", "critical": "error"}
Engine = Literal["embedded", "elevenlabs", "openai", "piper"]
HearingEngine = Literal["embedded", "whisper", "openai", "elevenlabs"]

REPLACED: Final = MappingProxyType(
    {
        "RR_DEFAULT_SYSTEM_PROMPT": "write it into system.txt in the folder of RR_PROMPTS_DIR",
        "RR_TTS_OUTPUT_FORMAT": "speech is always a mono WAV of 16 bits",
        "RR_TTS_FALLBACK_PROFILE": "a profile that is not known is spoken as friendly_casual",
    }
)
"""Settings of an earlier version that are not read any more, and what to do instead."""

_HEADER_WORD = re.compile(r"[!-~]+")
_LANGUAGE = re.compile("[a-z]{2,3}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._\-\[\]:]+(/[!-~]*)?")


class Settings(FromEnvironment, env_prefix=PREFIX, validate_by_name=True, validate_by_alias=True):
    """Settings of the host, each from `RR_<NAME>`; keys from the names their providers use."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="TCP port to listen on.")
    artifacts_dir: Path = Field(Path("artifacts"), description="Where speech and waves are kept.")
    cors_origins: Listed[str] = Field(
        (),
        description="Origins of web clients, separated by commas, such as http://localhost:5173.",
    )
    allowed_hosts: Listed[str] = Field(
        (), description="Host names of this server, separated by commas."
    )
    trusted_proxies: Listed[IPvAnyNetwork] = Field(
        (), description="Addresses or networks of proxies whose X-Forwarded headers count."
    )
    api_token: SecretStr | None = Field(
        None, min_length=8, description="Token that every client has to send; none if empty."
    )
    allow_open_lan: bool = Field(
        False,
        description="Listen on the network without a token; everybody there can use the server.",
    )
    tls_certificate: Path | None = Field(
        None, description="File of the certificate (PEM) with which the server speaks HTTPS."
    )
    tls_key: Path | None = Field(None, description="File of its private key (PEM).")
    log_level: LogLevel = Field("info", description="Least severe level that is logged.")
    trace_signals: bool = Field(
        False, description="Log every emission of a signal with its receivers and microseconds."
    )
    max_sessions: int = Field(4, ge=1, le=64, description="Sessions that may run at once.")
    request_limit_s: float = Field(
        10, gt=0, le=600, description="Time a client may take to send a request."
    )
    agent_timeout_s: float = Field(
        30,
        gt=0,
        le=600,
        validation_alias=AliasChoices("RR_AGENT_TIMEOUT_S", "RR_TIMEOUT_S"),
        description="Limit for one agent's answer, with retries and fallbacks.",
    )
    agent_retries: int = Field(
        2,
        ge=0,
        le=10,
        validation_alias=AliasChoices("RR_AGENT_RETRIES", "RR_RETRIES"),
        description="How often a request to a model is sent again after a temporary failure.",
    )
    agent_temperature: float | None = Field(
        None,
        ge=0,
        le=2,
        validation_alias=AliasChoices("RR_AGENT_TEMPERATURE", "RR_TEMPERATURE"),
        description="Temperature of the models that accept one, unless agents.toml sets another.",
    )
    agent_max_tokens: int | None = Field(
        None,
        ge=16,
        le=100_000,
        validation_alias=AliasChoices("RR_AGENT_MAX_TOKENS", "RR_MAX_TOKENS"),
        description="Most tokens of an answer of models that do not reason, unless agents.toml "
        "sets another.",
    )
    agent_memory_tokens: int = Field(
        1500,
        ge=0,
        le=100_000,
        description="Tokens that a slot keeps of earlier sessions, estimated.",
    )
    agents_file: Path | None = Field(
        None, description="An agents.toml that changes the built-in agents or adds to them."
    )
    prompts_dir: Path | None = Field(
        None, description="Folder of prompts that replace the built-in ones, file by file."
    )
    summary_turn: bool = Field(
        False, description="Whether an agent sums up what was said, as a fourth turn."
    )
    summary_agent: str = Field(
        "", description="Id of the agent that sums up; if empty, that of the first slot."
    )
    speech_engine: Engine = Field(
        "embedded", description="The speech engine: embedded, elevenlabs, openai or piper."
    )
    speech_fallback: Listed[Engine] = Field(
        ("embedded",), description="Engines that are used when that one fails, in order; or none."
    )
    speech_timeout_s: float = Field(
        20, gt=0, le=600, description="Limit for one utterance, with its fallbacks."
    )
    speech_openai_url: str = Field(
        "", description="A server with the speech API of OpenAI, such as http://localhost:8880/v1."
    )
    speech_openai_api_key: SecretStr | None = Field(
        None, description="Key of that server; for OpenAI itself OPENAI_API_KEY is used."
    )
    speech_elevenlabs_url: str = Field(
        "", description="Another address of ElevenLabs, such as the one of a region."
    )
    speech_elevenlabs_model: str = Field(
        "eleven_flash_v2_5",
        min_length=1,
        validation_alias=AliasChoices("RR_SPEECH_ELEVENLABS_MODEL", "RR_ELEVENLABS_DEFAULT_MODEL"),
        description="Model of ElevenLabs, unless voices.toml sets another.",
    )
    speech_piper_model: Path | None = Field(None, description="Piper's voice, an .onnx file.")
    voices_file: Path | None = Field(
        None, description="A voices.toml that sets the voice of each profile."
    )
    stt_engine: Literal["embedded", "whisper", "openai", "elevenlabs", "none"] = Field(
        "embedded",
        description="What understands a visitor who speaks: embedded, whisper, openai, elevenlabs "
        "or none.",
    )
    stt_fallback: Listed[HearingEngine] = Field(
        (), description="Hearing engines that are used when that one fails, in order."
    )
    stt_language: str = Field(
        "en",
        description="Language that visitors speak, unless the client names one; as in ISO 639-1.",
    )
    stt_timeout_s: float = Field(
        20, gt=0, le=600, description="Limit for one recording, with the fallbacks."
    )
    stt_whisper_model: Path | None = Field(
        None, description="Folder of a Whisper model in the format of CTranslate2."
    )
    stt_openai_url: str = Field(
        "",
        description="A server with the transcription API of OpenAI, such as "
        "http://localhost:8001/v1.",
    )
    stt_openai_api_key: SecretStr | None = Field(
        None, description="Key of that server; for OpenAI itself OPENAI_API_KEY is used."
    )
    stt_openai_model: str = Field(
        "whisper-1", min_length=1, description="Model of OpenAI or of that server."
    )
    stt_elevenlabs_model: str = Field(
        "scribe_v1", min_length=1, description="Model with which ElevenLabs transcribes."
    )
    stt_keep: bool = Field(
        False, description="Keep the recordings of visitors and what was understood."
    )
    keep_texts: bool = Field(
        True, description="Keep what agents say in session.json; false writes no texts to any file."
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="Makes random choices and the rehearsal agents repeatable.",
    )
    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="Key for the agents of OpenAI."
    )
    anthropic_api_key: SecretStr | None = Field(
        None, validation_alias="ANTHROPIC_API_KEY", description="Key for the agents of Anthropic."
    )
    google_api_key: SecretStr | None = Field(
        None,
        validation_alias=AliasChoices("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        description="Key for the agents of Google.",
    )
    elevenlabs_api_key: SecretStr | None = Field(
        None, validation_alias="ELEVENLABS_API_KEY", description="Key for the voices of ElevenLabs."
    )

    @field_validator("api_token")
    @classmethod
    def _can_stand_in_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _HEADER_WORD.fullmatch(value.get_secret_value()):
            raise ValueError("use letters, digits and signs of ASCII, and no spaces")
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        level = value.strip().lower()
        return LEVELS_ELSEWHERE.get(level, level)

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        how = "is not an origin: write it like http://localhost:5173"
        return tuple(one if one == "*" else _in_form(origin_of, one, how) for one in value)

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        how = "is not a name: write it without a scheme, a port or a star, like show.example"
        return tuple(_in_form(_name_alone, one, how) for one in value)

    @model_validator(mode="after")
    def _is_protected_on_the_network(self) -> Self:
        if self.api_token is None and not self.allow_open_lan and not is_loopback(self.host):
            raise ValueError(
                f"RR_HOST={self.host} lets others on the network in: set RR_API_TOKEN, "
                "or RR_ALLOW_OPEN_LAN=true if that is what you want"
            )
        return self

    @field_validator("tls_certificate", "tls_key")
    @classmethod
    def _can_be_read(cls, value: Path | None) -> Path | None:
        try:
            if value is not None:
                value.open("rb").close()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ValueError(f"{reason}: name a PEM file that this user may read") from error
        return value

    @model_validator(mode="after")
    def _has_both_files_of_tls(self) -> Self:
        certificate, key = self.tls_certificate, self.tls_key
        if certificate is None and key is None:
            return self
        if certificate is None or key is None:
            missing = "RR_TLS_KEY" if certificate else "RR_TLS_CERTIFICATE"
            raise ValueError(f"HTTPS needs a certificate and its key: set {missing} too")
        try:
            server_context(certificate, key)
        except OSError as error:
            raise ValueError(
                f"RR_TLS_CERTIFICATE={certificate} and RR_TLS_KEY={key} cannot be used together: "
                "name two PEM files that were made together, the key without a password "
                f"({getattr(error, 'reason', '') or error})"
            ) from error
        return self

    @model_validator(mode="after")
    def _keeps_no_transcripts_without_texts(self) -> Self:
        if self.stt_keep and not self.keep_texts:
            raise ValueError(
                "RR_STT_KEEP=true writes what visitors say, RR_KEEP_TEXTS=false forbids it: "
                "remove one of them"
            )
        return self

    @field_validator("stt_language")
    @classmethod
    def _is_language(cls, value: str) -> str:
        if not _LANGUAGE.fullmatch(value.lower()):
            raise ValueError("not a language: write its code of two or three letters, such as en")
        return value.lower()

    @field_validator("speech_openai_url", "speech_elevenlabs_url", "stt_openai_url")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError("not an address: write it like http://localhost:8880/v1")
        return value

    @property
    def base_url(self) -> str:
        """The address of the server on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound
        scheme = "https" if self.tls_certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def secrets(self) -> list[SecretStr]:
        """Return the values that must not be shown."""
        return [value for _, value in self if isinstance(value, SecretStr)]

    @classmethod
    def load(cls, **overrides: object) -> Self:
        """Read the settings; `overrides`, from the command line, replace the environment."""
        given = {name: value for name, value in overrides.items() if value is not None}
        return read_settings(cls, SettingsError, **given)


def _name_alone(text: str) -> str:
    name, port = split_host(text)
    if port is not None:
        raise ValueError(text)
    return name


def _in_form(convert: Callable[[str], str], text: str, how: str) -> str:
    """Return `text` as it is compared with what clients send, or say how to write it."""
    try:
        return convert(text)
    except ValueError as error:
        raise ValueError(f"{text!r} {how}") from error


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
