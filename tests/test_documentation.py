"""What is written for people is complete and true: settings, plugins, signals, the contract.

Everything here walks what there is, so whoever adds a plugin learns what is still to be written.
"""

import pkgutil
import re
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest
from blinker import NamedSignal
from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

import plugins
from backend.config import Settings
from backend.plugins import Host, Plugin, discover
from backend.settings_report import variables
from tests import readme
from tests.readme import ROOT

SUBSCRIBER = "Write your own subscriber"
PLUGINS: dict[str, Plugin] = {
    item.name: item.plugin
    for item in discover()
    if item.plugin and item.plugin.settings.__module__.startswith("plugins.")
}
"""Those of this project: a third party's has documents of its own."""
CLASSES: list[type[BaseSettings]] = [Settings, *(one.settings for one in PLUGINS.values())]
VARIABLES = [(name, cls) for cls in CLASSES for name in variables(cls)]


def _packages() -> list[str]:
    return [f"plugins.{module.name}" for module in pkgutil.iter_modules(plugins.__path__)]


def _signals() -> dict[str, tuple[NamedSignal, Any]]:
    """Return every signal with the module that defines it."""
    modules = ["backend.signals", *(f"{package}.signals" for package in _packages())]
    found: dict[str, tuple[NamedSignal, Any]] = {}
    for module in [import_module(name) for name in modules if find_spec(name)]:
        for value in vars(module).values():
            if isinstance(value, NamedSignal):
                found.setdefault(value.name, (value, module))
    return found


SIGNALS = _signals()


def _default(field: FieldInfo) -> str:
    default = field.get_default()
    if isinstance(default, tuple):
        return ",".join(default)
    return "" if default is None else str(default).removesuffix(".0")


@pytest.mark.parametrize(("name", "cls"), VARIABLES, ids=[name for name, _ in VARIABLES])
def test_every_setting_is_documented_with_its_default(name: str, cls: type[BaseSettings]) -> None:
    """A setting says what it is, and shows its default in `.env.example` and in the README."""
    field = variables(cls)[name]
    default = _default(field)

    shown = dotenv_values(ROOT / ".env.example")
    table = readme.table("Settings", "variable")

    assert field.description, f"{name} has no description"
    assert name in shown, f".env.example lacks {name}"
    assert name in table, f"README.md, Settings, lacks a row of {name}"
    assert default.lower() == (shown[name] or ""), f"the default of {name} in .env.example"
    in_table = table[name][0].strip("`")
    assert default.lower() == in_table.lower(), f"the default of {name} in README.md, Settings"


def test_no_setting_is_documented_that_does_not_exist() -> None:
    """A line that is copied from `.env.example` or the README has an effect."""
    names = {name for name, _ in VARIABLES}

    assert names == set(dotenv_values(ROOT / ".env.example"))
    assert names == set(readme.table("Settings", "variable"))


def test_every_package_of_plugins_is_one() -> None:
    """What stands below `plugins/` is declared as an entry point in pyproject.toml."""
    offered = {one.settings.__module__.rpartition(".")[0] for one in PLUGINS.values()}

    assert sorted(_packages()) == sorted(offered)


@pytest.mark.parametrize("name", PLUGINS)
def test_every_plugin_has_its_row(name: str) -> None:
    """The README says of each plugin what it does, and truly whether it is on by default."""
    table = readme.table("Plugins", "plugin")

    assert name in table, f"README.md, Plugins, lacks a row of the plugin `{name}`"
    by_default, does = table[name]
    on = PLUGINS[name].settings.model_fields["enabled"].get_default()
    assert ("on" if on else "off") == by_default, f"what `{name}` is by default"
    assert does, f"what `{name}` does"


def test_no_plugin_has_a_row_that_does_not_exist() -> None:
    """The table speaks of the plugins that are installed, and of no other."""
    assert PLUGINS.keys() == readme.table("Plugins", "plugin").keys()


@pytest.mark.parametrize("name", [name for name, one in PLUGINS.items() if one.commands])
def test_every_command_of_a_plugin_is_in_the_readme(name: str) -> None:
    """Who reads the README's first table knows that the command is there."""
    word = PLUGINS[name].command or name

    assert f"`uv run reflective-resonance {word}" in readme.section("Start"), f"no row of {word!r}"


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_says_who_sends_it_when_and_on_which_thread(name: str) -> None:
    """The doc of a signal is its contract; its payload is documented, and in the README."""
    signal, module = SIGNALS[name]
    doc = signal.__doc__ or ""
    table = readme.table(SUBSCRIBER, "signal")

    for words in ("Sent by", "thread", "Payload: "):
        assert words in doc, f"the doc of {name} does not say {words!r}"
    payload: type[Any] | None = getattr(module, doc.rpartition("Payload: ")[2].rstrip("."), None)
    assert payload is not None, f"the payload of {name} is not in {module.__name__}"
    frozen = getattr(getattr(payload, "__dataclass_params__", None), "frozen", False)
    assert frozen, f"the payload of {name} is no frozen dataclass"
    assert f"{payload.__name__}(" not in (payload.__doc__ or ""), f"{payload.__name__} has no doc"
    assert name in table, f"README.md, {SUBSCRIBER}, lacks a row of the signal {name}"
    assert f"`{payload.__name__}`" == table[name][0], f"the payload of {name} in README.md"


def test_no_signal_has_a_row_that_does_not_exist() -> None:
    """The table of signals names no other."""
    assert SIGNALS.keys() == readme.table(SUBSCRIBER, "signal").keys()


@pytest.mark.parametrize(
    ("contract", "heading"), [(Plugin, "part of a `Plugin`"), (Host, "part of the `Host`")]
)
def test_the_contract_is_in_the_readme(contract: type[Any], heading: str) -> None:
    """Every part of a plugin, and everything the host gives it, has its row, and nothing else."""
    methods = {name for name, value in vars(contract).items() if callable(value) and name[0] != "_"}
    parts = {field.name for field in fields(contract)} | methods - {"resolve"}

    assert parts == readme.table(SUBSCRIBER, heading).keys()


def test_the_changelog_speaks_of_this_version() -> None:
    """The version that is built has its section in the changelog."""
    version = re.search(
        r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )

    assert version
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
