"""What is written for people is complete and true."""

import re
from pathlib import Path

import pytest
from dotenv import dotenv_values
from pydantic_settings import BaseSettings

from backend.config import Settings
from backend.plugins import discover
from backend.settings_report import variables

ROOT = Path(__file__).parents[1]
CLASSES: list[type[BaseSettings]] = [Settings] + [
    item.plugin.settings
    for item in discover()
    if item.plugin and item.plugin.settings.__module__.startswith("plugins.")
]
VARIABLES = [(name, cls) for cls in CLASSES for name in variables(cls)]


@pytest.mark.parametrize(("name", "cls"), VARIABLES, ids=[name for name, _ in VARIABLES])
def test_every_setting_is_documented_with_its_default(name: str, cls: type[BaseSettings]) -> None:
    """A setting has its line in `.env.example`, showing the default, and in the README's table."""
    field = variables(cls)[name]

    shown = dotenv_values(ROOT / ".env.example")[name]

    readme = (ROOT / "README.md").read_text("utf-8")
    assert f"`{name}`" in readme
    default = field.get_default()
    expected = "" if default is None else str(default)
    if isinstance(default, tuple):
        expected = ",".join(default)
    assert expected.lower().removesuffix(".0") == (shown or "")


def test_env_example_names_no_setting_that_does_not_exist() -> None:
    """A line that is copied from `.env.example` has an effect."""
    assert {name for name, _ in VARIABLES} == set(dotenv_values(ROOT / ".env.example"))


def test_the_changelog_speaks_of_this_version() -> None:
    """The version that is built has its section in the changelog."""
    version = re.search(
        r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )

    assert version
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
