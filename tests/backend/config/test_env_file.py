"""`.env` is read once for a run of the program, and its settings are those of one moment."""

import subprocess
import sys
from pathlib import Path

import pytest

from backend.config import Settings, effective, one_reading
from backend.errors import SettingsError
from tests.command import environment
from tests.patience import LIMIT_S

COUNTING = """
import sys
opened = []
sys.addaudithook(lambda event, given: event == "open" and opened.append(str(given[0])))
from backend.__main__ import main
try:
    main()
finally:
    print(opened.count(".env"), file=sys.stderr)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the place of `.env` in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RR_PORT", raising=False)
    return tmp_path / ".env"


@pytest.mark.e2e
@pytest.mark.parametrize("command", ["config", "plugins"])
def test_a_command_opens_it_once(command: str, file: Path, project_root: Path) -> None:
    """However many plugins have settings there."""
    file.write_bytes((project_root / ".env.example").read_bytes())

    done = subprocess.run(
        [sys.executable, "-c", COUNTING, command],
        env=environment({}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )

    assert (0, "1") == (done.returncode, done.stderr.splitlines()[-1])


def test_what_was_read_holds_to_the_end(file: Path) -> None:
    """A change meanwhile is seen by the next reading, and by what is outside of any."""
    file.write_text("RR_PORT=8101\n", encoding="utf-8")

    with one_reading():
        assert 8101 == Settings.load().port
        file.write_text("RR_PORT=8202\n", encoding="utf-8")
        settings = Settings.load()
        with one_reading():
            assert 8202 == Settings.load().port
        file.unlink()
        rows = {row.variable: row.source for row in effective(settings)}

    assert (8101, ".env") == (settings.port, rows["RR_PORT"])
    assert 8000 == Settings.load().port


def test_what_cannot_be_read_is_told_to_each(file: Path) -> None:
    """No class takes a file that is refused for an empty one."""
    file.write_bytes(b"RR_PORT=8101\n# caf\xe9\n")

    with one_reading():
        for _ in range(2):
            with pytest.raises(SettingsError, match=r"\.env, line 2: is not UTF-8"):
                Settings.load()


def test_a_path_may_begin_with_the_home_directory(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder named ~ would be a trap for whoever wants to remove it."""
    monkeypatch.setenv("HOME", str(file.parent))
    monkeypatch.setenv("USERPROFILE", str(file.parent))
    monkeypatch.delenv("RR_ARTIFACTS_DIR", raising=False)
    file.write_text("RR_ARTIFACTS_DIR=~/show\n", encoding="utf-8")

    assert file.parent / "show" == Settings().artifacts_dir

    file.write_text("RR_ARTIFACTS_DIR=~nobody-of-this-name/show\n", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"RR_ARTIFACTS_DIR.*no home directory"):
        Settings.load()
