"""What the project declares about itself is true: its dependencies, and what runs its checks."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.readme import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OWN = {"backend", "plugins"}
EXTRAS = {
    "pydantic-ai-slim": {"openai": "openai", "anthropic": "anthropic", "google": "google-genai"}
}
"""What the extras of a dependency bring that we import ourselves."""
INDIRECT = {"h11", "numba", "python-multipart", "websockets"}
"""Needed by parts of uvicorn and Starlette that we use, or imported by name, as the compiler is."""
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def imported() -> dict[str, set[str]]:
    """Return the top-level modules that our code imports, with the distributions they come from."""
    distributions = packages_distributions()
    names: set[str] = set()
    for file in (path for folder in OWN for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"), Path(file).name)):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or "").partition(".")[0])
    outside = names - sys.stdlib_module_names - OWN
    return {name: {_normal(one) for one in distributions.get(name, [name])} for name in outside}


def declared() -> set[str]:
    """Return the distributions that pyproject.toml names, as dependencies or as their extras."""
    optional = [one for extra in PROJECT["optional-dependencies"].values() for one in extra]
    found: set[str] = set()
    for requirement in [*PROJECT["dependencies"], *optional]:
        name, extras = re.findall(r"^([\w.-]+)(?:\[([\w,-]+)\])?", requirement)[0]
        found.add(_normal(name))
        found |= {EXTRAS[name][extra] for extra in filter(None, extras.split(","))}
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_imported_is_declared() -> None:
    """No module is imported that is there only because another package happens to need it."""
    missing = {name for name, origins in imported().items() if not origins & declared()}

    assert set() == missing - {"piper"}  # where the extra is not installed its name is not known


def test_what_is_declared_is_imported() -> None:
    """Nothing is installed that no module of ours imports, and nothing is declared twice."""
    names = [re.split(r"[\[<>=!~; ]", one)[0] for one in PROJECT["dependencies"]]
    used = {origin for origins in imported().values() for origin in origins}

    assert set() == set(map(_normal, names)) - used - INDIRECT
    assert len(names) == len(set(names))


def test_continuous_integration_runs_the_script_of_developers() -> None:
    """Each job calls `.ci/run` with steps that it has, on all systems and Pythons."""
    yaml = pytest.importorskip("yaml", reason="needs PyYAML: uv run --group e2e pytest")
    jobs = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    steps = set(re.findall(r"(?m)^(\w+)\(\)", script))

    calls = {
        name: [step["run"].split() for step in job["steps"] if "run" in step]
        for name, job in jobs.items()
    }
    assert {"all": [["bash", ".ci/run"]]} == {"all": calls.pop("all")}
    for (call,) in calls.values():
        assert ["bash", ".ci/run"] == call[:2]
        assert set(call[2:]) <= steps
    named = re.findall(r"(?<=\s)tests/[\w./-]+", script)
    assert [] == [path for path in named if not (ROOT / path).exists()]
    matrix = jobs["newest"]["strategy"]["matrix"]
    assert {"os": ["ubuntu-latest", "macos-latest", "windows-latest"], "python": PYTHONS} == matrix
    assert PYTHONS == jobs["lowest"]["strategy"]["matrix"]["python"]
