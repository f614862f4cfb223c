"""Reads `.env`: once for a run of the program, so that all its settings are of one moment.

A command runs in `one_reading()`, and so does the start of a plugin while the server runs, which
shall see what was changed since. Outside of such a block every use reads the file.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream
from pydantic import field_validator
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from backend.config.text_file import read_text

ENV_FILE = ".env"


class EnvFile:
    """The contents of `.env` at one moment; empty if there is none."""

    def __init__(self) -> None:
        is_there = os.path.lexists(ENV_FILE)  # a link that leads nowhere is refused
        self._text = read_text(Path(ENV_FILE)) if is_there else ""

    @cached_property
    def values(self) -> Mapping[str, str | None]:
        """What it sets, by name."""
        return dotenv_values(stream=StringIO(self._text))

    @cached_property
    def lines(self) -> list[tuple[int, Binding]]:
        """Its lines, without comments, each with its number."""
        return [
            (one.original.line + _blank_lines(one.original.string), one)
            for one in parse_stream(StringIO(self._text))
            if one.key or one.error
        ]


_readings: ContextVar[list[EnvFile] | None] = ContextVar("readings", default=None)


@contextmanager
def one_reading() -> Iterator[None]:
    """Read `.env` at its first use in the block, and no more."""
    before = _readings.set([])
    try:
        yield
    finally:
        _readings.reset(before)


def env_file() -> EnvFile:
    """Return the contents of `.env`, or raise SettingsError if it cannot be read."""
    kept = _readings.get()
    if kept:
        return kept[0]
    found = EnvFile()
    if kept is not None:
        kept.append(found)
    return found


class FromEnvironment(BaseSettings):
    """Base of all settings: from the environment, else from `.env`; an empty value is none."""

    # not in the head: a type checker takes `frozen` there for that of a dataclass
    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    @field_validator("*")
    @classmethod
    def _expand_home(cls, value: object) -> object:
        """Take `~` for the home directory, as a shell does."""
        try:
            return value.expanduser() if isinstance(value, Path) else value
        except RuntimeError as error:
            raise ValueError("write the whole path: no home directory is known") from error

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources, the one that wins first."""
        file = EnvSettingsSource(settings_cls)
        file.env_vars = {key.lower(): value for key, value in env_file().values.items() if value}
        return init_settings, env_settings, file


def _blank_lines(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")
