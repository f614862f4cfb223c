"""Writes the package of a new plugin, which passes its own test as it is."""

import re
from collections.abc import Iterable
from pathlib import Path
from string import Template

from backend.errors import UsageError

TEMPLATES = Path(__file__).with_name("templates")
SIGNAL, NO_SIGNAL = "  #signal", "  #no signal"
"""What marks the lines of a template that a plugin with a signal has, or one without."""
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MAX_LENGTH = 20


def write_plugin(name: str, directory: Path, taken: Iterable[str], *, signal: bool) -> Path:
    """Write the package of a plugin into `directory`, and return its folder.

    Raises
    ------
    UsageError
        If the name cannot be one, another plugin has it, or the folder exists or cannot be made.
    """
    if not NAME.fullmatch(name) or len(name) > MAX_LENGTH:
        raise UsageError(
            f"{name!r} cannot be the name of a plugin: write small letters, digits and single "
            f"underscores, such as tide_table, at most {MAX_LENGTH}"
        )
    if name in taken:
        raise UsageError(f"there is a plugin {name} already: choose another name")
    folder = directory / f"rr-{name.replace('_', '-')}"
    if folder.exists():
        raise UsageError(f"{folder} exists: remove it, or choose another --directory")
    values = {
        "name": name,
        "dashed": name.replace("_", "-"),
        "title": name.title().replace("_", ""),
        "upper": name.upper(),
    }
    package = folder / f"rr_{name}"
    try:
        package.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            f"cannot make {folder} ({error.strerror}): choose another --directory"
        ) from error
    for path, template in _files(folder, package, name, signal=signal).items():
        kept = _kept((TEMPLATES / f"{template}.txt").read_text("utf-8"), signal=signal)
        path.write_text(Template(kept).substitute(values), encoding="utf-8")
    return folder


def _files(folder: Path, package: Path, name: str, *, signal: bool) -> dict[Path, str]:
    """Return the files to write, each with its template."""
    inside = ["__init__.py", "settings.py", "plugin.py", *(["signals.py"] if signal else [])]
    return {
        **{folder / one: one for one in ("pyproject.toml", "README.md", "conftest.py")},
        folder / f"test_{name}.py": "test.py",
        **{package / one: one for one in inside},
    }


def _kept(template: str, *, signal: bool) -> str:
    """Return a template without the lines for the other case, and without marks."""
    other, own = (NO_SIGNAL, SIGNAL) if signal else (SIGNAL, NO_SIGNAL)
    lines = [line for line in template.splitlines() if not line.endswith(other)]
    return "".join(f"{line.removesuffix(own)}\n" for line in lines)
