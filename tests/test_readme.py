"""The subscriber of the README, as it stands there: built, installed beside our wheel, and run."""

import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests import readme
from tests.command import environment, run
from tests.patience import LIMIT_S

TITLE = "Writing a subscriber"
MODULE, TEST = "utterance_csv.py", "test_utterance_csv.py"
MAX_LINES = 25


def call(*command: str | Path, cwd: Path, **env: str) -> str:
    """Run a command that ends well; return what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment(env),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def subscriber() -> dict[str, str]:
    """Return the files of the subscriber: its code, its project file and its test."""
    return readme.files(readme.MAIN, TITLE) | readme.files("plugins/README.md", TITLE)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files of the subscriber."""
    folder = tmp_path_factory.mktemp("own") / "utterance-csv"
    folder.mkdir()
    for name, text in subscriber().items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def clean(package: Path) -> dict[str, str]:
    """Return the variables of an environment with our wheel, the package's wheel and pytest.

    Only this needs a package index, or what uv has of it in its cache.
    """
    work = package.parent
    for project in (readme.ROOT, package):
        call("uv", "build", "--quiet", "--wheel", "--out-dir", work / "dist", cwd=project)
    call("uv", "venv", "--quiet", "--python", sys.executable, work / "venv", cwd=work)
    python = work / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    ours, theirs = sorted((work / "dist").glob("*.whl"))
    install = ("uv", "pip", "install", "--quiet", "--python", python)
    call(*install, f"{ours}[testing]", theirs, cwd=work)
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    return {"PATH": path, "PYTHONPATH": "", "VIRTUAL_ENV": str(work / "venv")}


@pytest.mark.e2e
def test_the_picture_of_a_session_is_true(tmp_path: Path) -> None:
    """The command at the top of the README prints the conversation that is shown there."""
    picture = (readme.ROOT / readme.MAIN).read_text("utf-8").split("```\n")[1].splitlines()
    command = shlex.split(picture[0].removeprefix("$ uv run reflective-resonance "))

    done = run(*command, "--artifacts", str(tmp_path), cwd=tmp_path)

    shown, said = (
        [line for line in lines if line.startswith(("turn ", "  slot "))]
        for lines in (picture, done.stderr.splitlines())
    )
    assert 6 == len(shown)
    assert shown == said[: len(shown)]


def test_the_subscriber_is_short() -> None:
    """A whole plugin, its project file and its test are in the READMEs; the plugin is short."""
    files = subscriber()

    assert {MODULE, "pyproject.toml", TEST} == files.keys()
    assert len(files[MODULE].splitlines()) <= MAX_LINES


@pytest.mark.e2e
def test_the_subscriber_passes_its_own_test(package: Path, clean: dict[str, str]) -> None:
    """Installed and nothing more, it runs in a rehearsal with waves, and its test passes."""
    told = call("pytest", "-q", "--basetemp", package.parent / "tests", cwd=package, **clean)

    assert "1 passed" in told
    (written,) = (package.parent / "tests").rglob("utterances.csv")
    with written.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    root = written.parent
    assert 6 == len(rows)
    assert all((root / row[3]).is_file() for row in rows)
    assert 6 == len({tuple(row) for row in rows})
    assert 3 * 6 == len(list((root / "waves").rglob("*.wav")))


@pytest.mark.e2e
@pytest.mark.parametrize("more", [(), ("--signal",)])
def test_a_plugin_that_is_written_passes_its_own_test(
    more: tuple[str, ...], clean: dict[str, str], tmp_path: Path
) -> None:
    """The two commands that `plugins new` prints install it and test it; then it is found."""
    command = Path(clean["PATH"].partition(os.pathsep)[0]) / "reflective-resonance"
    name = "tide_table_of_a_moon"
    write = ("plugins", "new", name, "--directory", str(tmp_path), *more)

    install, test = call(command, *write, cwd=tmp_path, **clean).splitlines()
    call(*shlex.split(install), cwd=tmp_path, **clean)
    told = call(*shlex.split(test.removeprefix("uv run ")), cwd=tmp_path, **clean)
    listed = json.loads(call(command, "plugins", "--json", cwd=tmp_path, **clean))
    call("uv", "pip", "uninstall", "--quiet", f"rr-{name}", cwd=tmp_path, **clean)

    assert "2 passed" in told
    (found,) = [one for one in listed if one["name"] == name]
    assert [f"{name}_noted"] * len(more) == found["sends"]


@pytest.mark.e2e
def test_the_trace_names_the_subscriber(
    package: Path, clean: dict[str, str], tmp_path: Path
) -> None:
    """With RR_TRACE_SIGNALS=true a developer sees each utterance reach it; off, it is not there."""
    command = Path(clean["PATH"].partition(os.pathsep)[0]) / "reflective-resonance"
    env = {**clean, "RR_WAVES_ENABLED": "false", "RR_TRACE_SIGNALS": "true"}

    on, off = (
        subprocess.run(
            [command, "rehearse", "--slots", "1", "--json"],
            cwd=tmp_path,
            env=environment({**env, "RR_CSV_ENABLED": enabled}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=LIMIT_S,
            check=False,
        )
        for enabled in ("true", "false")
    )

    traced = [line for line in on.stderr.splitlines() if "signal=tts_written" in line]
    assert 1 == len(traced) == len(json.loads(on.stdout)["utterances"])
    assert "utterance_csv.lifespan.<locals>.receive" in traced[0]
    assert "utterance_csv" not in off.stderr
    assert 1 == len((tmp_path / "artifacts/utterances.csv").read_text("utf-8").splitlines())
