"""What is written for people is complete and true: settings, plugins, signals, the contract.

Everything here walks what there is, so whoever adds a plugin learns what is still to be written.
"""

import ast
import pkgutil
import re
import shlex
import tomllib
from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
from dotenv import dotenv_values
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings
from typer.core import TyperGroup

import plugins
from backend.cli import app
from backend.config import Settings
from backend.config.report import variables
from backend.plugins import Host, Plugin, discover
from backend.signals import Signal, connecting
from backend.storage import Artifacts
from tests import readme
from tests.readme import ROOT

SUBSCRIBER = ("plugins/README.md", "Writing a subscriber")
PIECES = (readme.MAIN, "The pieces", "piece")
PLUGINS: dict[str, Plugin] = {
    item.name: item.plugin
    for item in discover()
    if item.plugin and item.plugin.settings.__module__.startswith("plugins.")
}
"""Those of this project: a third party's has documents of its own."""
README_LINES = 150
README_SECTIONS = [
    "Three commands",
    "What you see",
    "The pieces",
    "Your keys and voices",
    "Show control",
    "Running a show",
    "Writing a subscriber",
    "Where the rest stands",
]
CLASSES: list[type[BaseSettings]] = [Settings, *(one.settings for one in PLUGINS.values())]
VARIABLES = [(name, cls) for cls in CLASSES for name in variables(cls)]


def _packages() -> list[str]:
    return [f"plugins.{module.name}" for module in pkgutil.iter_modules(plugins.__path__)]


def _signals() -> dict[str, tuple[Signal[Any], Any]]:
    """Return every signal with the module that defines it."""
    modules = ["backend.signals", *(f"{package}.signals" for package in _packages())]
    found: dict[str, tuple[Signal[Any], Any]] = {}
    for module in [import_module(name) for name in modules if find_spec(name)]:
        for value in vars(module).values():
            if isinstance(value, Signal):
                found.setdefault(value.name, (value, module))
    return found


SIGNALS = _signals()


def command_lines() -> list[str]:
    """Return every command line of every page that begins with `uv run`."""
    lines = [
        line
        for page in readme.pages()
        for line in re.findall(r"(?:^|`)(uv run [^`\n]+)", page.read_text("utf-8"), re.MULTILINE)
    ]
    return sorted(set(lines))


def _page(cls: type[BaseSettings]) -> str:
    """Return the README of the folder that the settings class `cls` is in."""
    if cls is Settings:
        return "backend/README.md"
    return f"{cls.__module__.rpartition('.')[0].replace('.', '/')}/README.md"


def _default(field: FieldInfo) -> str:
    default = field.get_default()
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "" if default is None else str(default).removesuffix(".0")


@pytest.mark.parametrize(("name", "cls"), VARIABLES, ids=[name for name, _ in VARIABLES])
def test_every_setting_is_documented_with_its_default(name: str, cls: type[BaseSettings]) -> None:
    """A setting says what it is, and shows its default in `.env.example` and in its folder."""
    field = variables(cls)[name]
    default = _default(field)

    shown = dotenv_values(ROOT / ".env.example")
    page = _page(cls)
    table = readme.table(page, "Settings", "variable")

    assert field.description, f"{name} has no description"
    assert name in shown, f".env.example lacks {name}"
    assert name in table, f"{page}, Settings, lacks a row of {name}"
    assert default.lower() == (shown[name] or ""), f"the default of {name} in .env.example"
    in_table = table[name][0].strip("`")
    assert default.lower() == in_table.lower(), f"the default of {name} in {page}, Settings"


def test_no_setting_is_documented_that_does_not_exist() -> None:
    """A line that is copied from `.env.example` or the README has an effect."""
    names = {name for name, _ in VARIABLES}

    assert names == set(dotenv_values(ROOT / ".env.example"))
    tables = [readme.table(_page(cls), "Settings", "variable") for cls in CLASSES]
    assert sorted(names) == sorted(name for table in tables for name in table)


def test_every_package_of_plugins_is_one() -> None:
    """What stands below `plugins/` is declared as an entry point in pyproject.toml."""
    offered = {one.settings.__module__.rpartition(".")[0] for one in PLUGINS.values()}

    assert sorted(_packages()) == sorted(offered)


@pytest.mark.parametrize("name", PLUGINS)
def test_every_plugin_has_its_row(name: str) -> None:
    """The README says of each plugin what it does, and truly whether it is on by default."""
    table = readme.table(*PIECES)

    assert name in table, f"README.md, The pieces, lacks a row of the plugin `{name}`"
    by_default, does, _ = table[name]
    on = PLUGINS[name].settings.model_fields["enabled"].get_default()
    assert ("on" if on else "off") == by_default, f"what `{name}` is by default"
    assert does, f"what `{name}` does"


def test_no_plugin_has_a_row_that_does_not_exist() -> None:
    """The table names the parts of the backend and the installed plugins, and nothing else."""
    assert (
        PLUGINS.keys() | {"backend", "agents", "speech", "hearing"} == readme.table(*PIECES).keys()
    )


@pytest.mark.parametrize("name", [name for name, one in PLUGINS.items() if one.commands])
def test_every_command_of_a_plugin_is_in_the_readme(name: str) -> None:
    """A command is in the README's table of pieces, and explained in the folder of its plugin."""
    word = PLUGINS[name].command or name
    page = readme.ROOT / _page(PLUGINS[name].settings)

    assert f"`{word}" in readme.table(*PIECES)[name][2], f"no command {word!r} in the row of {name}"
    assert f"`uv run reflective-resonance {word}" in page.read_text("utf-8"), f"no row of {word!r}"


@pytest.mark.parametrize("name", SIGNALS)
def test_every_signal_says_who_sends_it_and_on_which_thread(name: str) -> None:
    """A signal has a whole definition; its payload is documented, in the README too."""
    signal, module = SIGNALS[name]
    payload = signal.payload
    table = readme.table(*SUBSCRIBER, "signal")

    for field in ("meaning", "sender", "thread"):
        assert getattr(signal, field), f"the definition of {name} lacks its {field}"
    assert "\n" not in signal.meaning, f"the meaning of {name} is longer than a line"
    assert payload is getattr(module, payload.__name__, None), f"the payload is not in {module}"
    frozen = getattr(getattr(payload, "__dataclass_params__", None), "frozen", False)
    assert frozen, f"the payload of {name} is no frozen dataclass"
    assert f"{payload.__name__}(" not in (payload.__doc__ or ""), f"{payload.__name__} has no doc"
    assert name in table, f"{SUBSCRIBER} lacks a row of the signal {name}"
    assert f"`{payload.__name__}`" == table[name][0], f"the payload of {name} in {SUBSCRIBER}"


def test_every_signal_of_a_plugin_is_among_those_it_sends() -> None:
    """What a plugin defines in its `signals` is in its outcomes or in `sends`, so it is listed."""
    told = {
        (name, signal.name)
        for name, plugin in PLUGINS.items()
        for part in ("outcomes", "sends")
        for signal in plugin.resolve(part) or ()
    }

    assert {
        (module.__name__.split(".")[1], name)
        for name, (_, module) in SIGNALS.items()
        if module.__name__ != "backend.signals"
    } == told


LISTENING: dict[str, dict[str, Any]] = {
    **{name: {} for name in PLUGINS},
    "osc": {"targets": ("127.0.0.1:9",)},
    "stream, with waves": {"waves": True},
    "webhook": {"urls": ("http://127.0.0.1:9/",), "secret": "bm9ib2R5IGlzIHRvbGQ="},
    "waves": {"engine": "librosa", "max_workers": 1, "stop_limit_s": 0},
}


@pytest.mark.parametrize(
    "which",
    [pytest.param(one, marks=pytest.mark.e2e if one == "waves" else ()) for one in LISTENING],
)
async def test_a_plugin_listens_to_the_signals_it_tells(which: str, tmp_path: Path) -> None:
    """What a plugin connects to as it starts is what its `listens` says, no more and no less."""
    plugin = PLUGINS[which.partition(",")[0]]
    settings = plugin.settings(enabled=True, **LISTENING[which])
    host = Host(Artifacts(tmp_path), lambda *_: None, plugin.name)

    with connecting(1) as connected:
        async with plugin.resolve("lifespan")(host, settings):
            pass

    assert connected == set(plugin.listens_to(settings) or ())


def test_no_signal_has_a_row_that_does_not_exist() -> None:
    """The table of signals names no other."""
    assert SIGNALS.keys() == readme.table(*SUBSCRIBER, "signal").keys()


@pytest.mark.parametrize(
    ("contract", "heading"), [(Plugin, "part of a `Plugin`"), (Host, "part of the `Host`")]
)
def test_the_contract_is_in_the_readme(contract: type[Any], heading: str) -> None:
    """Every part of a plugin, and everything the host gives it, has its row, and nothing else."""
    methods = {name for name, value in vars(contract).items() if callable(value) and name[0] != "_"}
    parts = {field.name for field in fields(contract)} | methods - {
        "resolve",
        "listens_to",
        "opens",
    }

    assert parts == readme.table(*SUBSCRIBER, heading).keys()


@pytest.mark.parametrize("folder", ["backend", "plugins/waves"])
def test_every_room_is_in_the_readme(folder: str) -> None:
    """The table of rooms names each folder of code, with the first sentence of its docstring."""
    faces = (ROOT / folder).glob("*/__init__.py")
    first = {
        face.parent.name: (ast.get_docstring(ast.parse(face.read_text("utf-8"))) or "")
        for face in faces
    }

    rooms = readme.table(f"{folder}/README.md", "Rooms", "room")
    assert {
        name: [text.partition("\n\n")[0].replace("\n", " ")] for name, text in first.items()
    } == rooms


@pytest.mark.parametrize("page", readme.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_name_of_code_exists(page: Path) -> None:
    """A dotted name that a page gives is that of a module, or stands in the module before it."""
    text = re.sub(r"(?ms)^- .*?(?=^- |\Z)", _unless_gone, page.read_text("utf-8"))
    names = re.findall(r"`((?:backend|plugins)(?:\.\w+)+)", text)

    assert [] == [name for name in names if not _exists(name)]


def _unless_gone(item: re.Match[str]) -> str:
    """Return an item of a list, or nothing if it says what is gone or has another name now."""
    return "" if re.search(r"\b(is|are) (gone|called)\b", item[0]) else item[0]


def _exists(name: str) -> bool:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:length])
        module = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if module.is_file():
            attribute = parts[length : length + 1]
            return not attribute or bool(
                re.search(rf"\b{attribute[0]}\b", module.read_text("utf-8"))
            )
    return False


@pytest.mark.parametrize("page", readme.pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_path_leads_somewhere(page: Path) -> None:
    """A relative link, its heading, and a path that a page names are there."""
    text = page.read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    targets = [
        (page.parent / path or page, heading)
        for path, _, heading in (link.partition("#") for link in links)
    ]
    named = re.findall(r"`((?:backend|plugins|tests|\.ci|\.github)/[\w./-]+)`", text)

    assert [] == [str(path) for path, _ in targets if not path.exists()]
    assert [] == [heading for path, heading in targets if heading and heading not in anchors(path)]
    assert [] == [path for path in named if not (ROOT / path).exists()]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_is_accepted(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command line that is pasted from a page has a command, options and values that exist."""
    (tmp_path / "artifacts/tts").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(line.partition(" > ")[0])[2:]
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    while words[0].startswith("--"):
        assert ["--group", True] == [words[0], words[1] in groups], f"no group {words[1]}"
        words = words[2:]

    match words:
        case ["reflective-resonance", *arguments]:
            _parse(arguments)
        case ["python", "-m", module, *_]:
            assert find_spec(module), f"no module {module}"
        case _:
            assert words[0] in {"pytest", "ruff", "mypy", "lint-imports"}, f"unknown: {words[0]}"


def _parse(arguments: list[str]) -> None:
    """Let the command line read `arguments` as it would, without running anything."""
    command: Any = typer.main.get_command(app)
    name: str | None = "reflective-resonance"
    while isinstance(command, TyperGroup) and arguments and not arguments[0].startswith("-"):
        context = command.make_context(name, [], resilient_parsing=True)
        name, command, arguments = command.resolve_command(context, arguments)
    if arguments != ["--help"]:
        command.make_context(name, arguments)


def test_the_readme_is_short() -> None:
    """The README has at most 150 lines, and its sections the order in which they are needed."""
    text = (ROOT / readme.MAIN).read_text("utf-8")

    assert len(text.splitlines()) <= README_LINES
    assert README_SECTIONS == re.findall(r"(?m)^## (.+)$", text)


@pytest.mark.parametrize(
    "folder",
    [
        "backend",
        "plugins",
        "tests",
        "backend/agents",
        "backend/speech",
        *(name.replace(".", "/") for name in _packages()),
    ],
)
def test_every_folder_says_what_it_is_for(folder: str) -> None:
    """The README of a folder begins with the folder's name and what it is for."""
    first, empty, purpose, *_ = (ROOT / folder / "README.md").read_text("utf-8").splitlines()

    assert (f"# {folder}", "") == (first, empty)
    assert purpose


def test_the_changelog_speaks_of_this_version() -> None:
    """The version that is built has its section in the changelog."""
    version = re.search(
        r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE
    )

    assert version
    assert f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
