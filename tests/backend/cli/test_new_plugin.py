"""The command `plugins new` writes a package that is typed and in order, or says what is wrong."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import installed
from tests.command import invoke


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Tide", "cannot be the name of a plugin"),
        ("tide-table", "cannot be the name of a plugin"),
        ("../tide", "cannot be the name of a plugin"),
        ("a" * 21, "at most 20"),
        (installed.NAMES[0], "already: choose another name"),
        ("tide", "rr-tide exists: remove it, or choose another --directory"),
    ],
)
def test_what_cannot_be_written_is_said(name: str, words: str, tmp_path: Path) -> None:
    """A bad name, one that is taken, and a folder that is there; nothing is written."""
    (tmp_path / "rr-tide").mkdir()

    done = invoke("plugins", "new", name, "--directory", str(tmp_path))

    assert 2 == done.exit_code
    assert words in done.stderr
    assert [] == list((tmp_path / "rr-tide").iterdir())
    assert ["rr-tide"] == [path.name for path in tmp_path.iterdir()]


def test_the_commands_to_paste_are_quoted(tmp_path: Path) -> None:
    """A folder with a space is one word of the shell."""
    done = invoke("plugins", "new", "tide", "--directory", str(tmp_path / "a b"))

    folder = str(tmp_path / "a b" / "rr-tide")
    quoted = f'"{folder}"' if os.name == "nt" else f"'{folder}'"
    assert f"uv pip install --editable {quoted}\nuv run pytest {quoted}\n" == done.stdout


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """The system's reason is told in a sentence, without its number."""
    (tmp_path / "file").touch()

    done = invoke("plugins", "new", "tide", "--directory", str(tmp_path / "file"))

    assert (2, False) == (done.exit_code, "Errno" in done.stderr)
    assert "choose another --directory" in done.stderr


@pytest.mark.e2e
@pytest.mark.skipif(find_spec("mypy") is None, reason="needs mypy: uv run --group checks pytest")
@pytest.mark.parametrize("more", [(), ("--signal",)])
@pytest.mark.parametrize("name", ["tide", "tide_table_of_a_moon"])
def test_what_is_written_is_typed_and_in_order(
    name: str, more: tuple[str, ...], tmp_path: Path
) -> None:
    """Whatever its name, mypy under strict and ruff find nothing."""
    assert 0 == invoke("plugins", "new", name, "--directory", str(tmp_path), *more).exit_code

    for module, *arguments in (
        ("mypy", "."),
        ("ruff", "check", "--extend-select", "I,UP,B,D1,RUF,SIM,PTH", "."),
        ("ruff", "format", "--check", "."),
    ):
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=tmp_path / f"rr-{name.replace('_', '-')}",
            capture_output=True,
            text=True,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
