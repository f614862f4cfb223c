"""Each contract of pyproject.toml is seen to fail; rooms are imported by their faces."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.readme import ROOT

LINT = "from importlinter.cli import lint_imports_command as main; main()"
LAYERS = "The rooms of the backend are layers"
LAYERS_OF_WAVES = "The rooms of waves are layers"
OPEN = "Plugins import of the backend only what is open to them"
SIGNALS = "Plugins know nothing of each other but signals"
WORKFLOW = "The workflow knows neither the web nor a plugin"
WORKER = "A worker imports of the backend only files, errors and scheduling"
LIBRARIES = "A worker imports no library of the server"
JIT = "Only jit knows the compiler of the kernels"


class Forbidden(NamedTuple):
    """An import that a contract forbids; the module that has it may be a new one."""

    contract: str
    importer: str
    imported: str


FORBIDDEN = [
    Forbidden(LAYERS, "backend.config.lists", "backend.terminal"),
    Forbidden(LAYERS, "backend.sessions.stream", "backend.speech"),
    Forbidden(LAYERS_OF_WAVES, "plugins.waves.pool.queue", "plugins.waves.files"),
    Forbidden(LAYERS_OF_WAVES, "plugins.waves.signals", "plugins.waves.settings"),
    Forbidden("The backend imports no plugin", "backend.attic", "plugins.tides"),
    Forbidden(OPEN, "plugins.osc.target", "backend.runtime"),
    Forbidden(OPEN, "plugins.show.ring", "backend.http.server"),
    Forbidden(OPEN, "plugins.metrics.disk", "backend.storage.lock"),
    Forbidden(OPEN, "plugins.retention.trash", "backend.attic"),
    Forbidden(OPEN, "plugins.tides", "backend.config"),
    Forbidden(SIGNALS, "plugins.osc.bundles", "plugins.show.messages"),
    Forbidden(SIGNALS, "plugins.tides", "plugins.waves.plugin"),
    Forbidden(WORKFLOW, "backend.workflow", "fastapi"),
    Forbidden(WORKFLOW, "backend.workflow", "backend.plugins"),
    Forbidden(WORKFLOW, "backend.agents.turns", "starlette"),
    Forbidden(WORKER, "plugins.waves.pyin.priors", "backend.sessions"),
    Forbidden(WORKER, "plugins.waves.errors", "backend.config"),
    Forbidden(LIBRARIES, "plugins.waves.process.worker_main", "pydantic"),
    Forbidden(LIBRARIES, "plugins.waves.audio.reader", "fastapi"),
    Forbidden(LIBRARIES, "backend.storage.riff", "structlog"),
    Forbidden(JIT, "plugins.waves.pyin.track", "numba"),
    Forbidden(JIT, "backend.scheduling", "llvmlite"),
]
UNPLACED = {LAYERS: "backend.attic", LAYERS_OF_WAVES: "plugins.waves.attic"}
"""A new room, or a new module of the waves, that stands in no layer yet."""

SIGNALS_OF_A_PLUGIN = r"plugins\.\w+\.signals"
HEAVY = {
    "backend.http.server": "uvicorn and FastAPI",
    "backend.http.connections": "uvicorn",
    "backend.agents.models.probe": "httpx2",
    "backend.speech.sound": "numpy",
}
"""Modules that others import past the face of their room, in a function: what they load."""


def path_of(tree: Path, module: str) -> Path:
    """Return the file of a module, or that of a package's face."""
    place = tree.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return what each contract reports of a copy of the tree that has all `FORBIDDEN` imports."""
    pytest.importorskip("importlinter", reason="needs import-linter: uv run --group checks pytest")
    copy = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in ("backend", "plugins"):
        shutil.copytree(
            ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for module in ("backend.attic", "plugins.waves.attic", "plugins.tides"):
        path_of(copy, module).write_text("", "utf-8")
    for _, importer, imported in FORBIDDEN:
        with path_of(copy, importer).open("a", encoding="utf-8") as file:
            file.write(f"\nimport {imported}\n")
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=copy,
        env={**os.environ, "COLUMNS": "1000", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    _, _, broken = done.stdout.partition("Broken contracts\n")
    parts = re.split(r"(?m)^(.+)\n-+\n", broken)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_every_contract_reports_what_it_forbids(reports: dict[str, str]) -> None:
    """Each forbidden import is reported by its contract, in new modules and plugins too."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    missed = [
        one
        for one in FORBIDDEN
        if f"{one.importer} -> {one.imported} " not in reports[one.contract]
    ]

    assert [] == missed
    assert {one["name"] for one in contracts["contracts"]} == {one.contract for one in FORBIDDEN}


def test_a_new_room_has_to_be_placed(reports: dict[str, str]) -> None:
    """A module that stands in no layer is reported by name."""
    assert [] == [name for name, module in UNPLACED.items() if f"- {module}" not in reports[name]]


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the name and the file of every module."""
    for package in ("backend", "plugins"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def face(path: Path) -> set[str]:
    """Return the `__all__` of a module."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and "__all__" == getattr(node.targets[0], "id", ""):
            return set(ast.literal_eval(node.value))
    return set()


NAMES = dict(modules())
FACES = {name: face(path) for name, path in NAMES.items() if path.name == "__init__.py"}


def imports(tree: ast.AST, at_top: bool = True) -> Iterator[tuple[str, bool]]:
    """Yield what is imported, by statements and by `import_module`, and whether at the top.

    A name that a room hands on counts as the room, whatever it names there.
    """
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Import():
                yield from ((alias.name, at_top) for alias in node.names)
            case ast.ImportFrom(module=str(module)):
                for alias in node.names:
                    inside = f"{module}.{alias.name}"
                    handed_on = inside not in NAMES or alias.name in FACES[module]
                    yield module if handed_on else inside, at_top
            case ast.Call(func=ast.Name("import_module"), args=[ast.Constant(str(name))]):
                yield name, False
        late = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" == getattr(node.test, "id", "")
        )
        yield from imports(node, at_top and not late)


@pytest.fixture(scope="module")
def imported() -> list[tuple[str, str, bool]]:
    """Return every import of the tree: by which module, of which, and whether at its top."""
    return [
        (name, module, at_top)
        for name, path in NAMES.items()
        for module, at_top in imports(ast.parse(path.read_text("utf-8")))
    ]


def is_inside(importer: str, module: str) -> bool:
    """Tell whether `module` stands in a room in which `importer` does not."""
    room = module.split(".")[:-1]
    return len(room) > 1 and importer.split(".")[: len(room)] != room


def test_a_room_is_imported_not_its_insides(imported: list[tuple[str, str, bool]]) -> None:
    """Others import a room by its face; what loads a library is imported in a function."""
    inside = [one for one in imported if one[1] in NAMES and is_inside(one[0], one[1])]
    past = {module for _, module, _ in inside if not re.fullmatch(SIGNALS_OF_A_PLUGIN, module)}

    assert HEAVY.keys() == past, [one for one in inside if one[1] in past - HEAVY.keys()]
    assert [] == [one for one in inside if one[1] in HEAVY and one[2]]


def test_a_face_hands_on_names_and_does_nothing_else() -> None:
    """An `__init__.py` is a docstring, imports from its own room or below, and `__all__`."""
    for name in FACES:
        body = ast.parse(NAMES[name].read_text("utf-8")).body
        others = [type(node).__name__ for node in body if not isinstance(node, ast.ImportFrom)]
        assert others in (["Expr"], ["Expr", "Assign"]), name


def test_only_jit_names_the_compiler(imported: list[tuple[str, str, bool]]) -> None:
    """A name that is imported as text counts too, which the contract cannot see."""
    compilers = {"numba", "llvmlite"}
    found = {name for name, module, _ in imported if module.partition(".")[0] in compilers}

    assert {"plugins.waves.jit"} == {name.rpartition(".")[0] for name in found}


def test_a_worker_loads_nothing_of_the_server() -> None:
    """A worker's process starts without libraries, and its jobs import only those for audio."""
    program = (
        "import json, sys\n"
        "own = set(sys.modules)\n"  # with coverage, that is in every child
        "import plugins.waves.process.worker_main\n"
        "first = sorted(set(sys.modules) - own)\n"
        "import plugins.waves.worker, plugins.waves.decompose_v3, plugins.waves.audio\n"
        "import plugins.waves.files\n"
        "print(json.dumps([first, sorted(set(sys.modules) - own)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    before, after = ({name.partition(".")[0] for name in one} for one in json.loads(done.stdout))
    assert {"__mp_main__", "backend", "plugins"} >= before - sys.stdlib_module_names
    assert {"numpy", "soundfile"} <= after
    heavy = {"fastapi", "starlette", "pydantic", "structlog", "blinker", "asyncio", "filelock"}
    assert set() == after & {*heavy, "librosa", "numba", "llvmlite", "scipy"}
