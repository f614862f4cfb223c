"""Every file that people write is read by one rule."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.agents.agents_file import load_profiles
from backend.agents.prompts import Prompts
from backend.config import Settings, dotted, line_of, read_text, read_toml
from backend.config.text_file import MAX_BYTES
from backend.errors import SettingsError
from backend.speech import load_voices

TEXT = "# Pfütze\nRR_PORT=8123\n"
READ = {
    "plain": TEXT.encode(),
    "byte order mark": TEXT.encode("utf-8-sig"),
    "UTF-16, little endian": b"\xff\xfe" + TEXT.encode("utf-16-le"),
    "UTF-16, big endian": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "Windows line ends": TEXT.replace("\n", "\r\n").encode(),
    "old Macintosh line ends": TEXT.replace("\n", "\r").encode(),
}
REFUSED = {
    "latin-1": (b"RR_PORT=8123\n# caf\xe9\n", r", line 2: is not UTF-8"),
    "NUL": (b"RR_PORT=8123\n\0", r", line 2: holds a NUL"),
    "UTF-16 without a mark": (TEXT.encode("utf-16-le")[:40], r", line 1: "),
    "half a UTF-16": (b"\xff\xfeR", r", line 1: is not UTF-8"),
    "huge": (b"#" * (MAX_BYTES + 1), r": has more than 1048576 bytes"),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RR_PORT", raising=False)
    return tmp_path


@pytest.mark.parametrize("form", READ)
def test_a_file_is_read_in_each_form_that_editors_write(form: str, place: Path) -> None:
    """The text is the same, and so is what the settings take of it."""
    (place / ".env").write_bytes(READ[form])

    assert TEXT == read_text(Path(".env"))
    assert 8123 == Settings.load().port


@pytest.mark.parametrize("form", REFUSED)
def test_a_file_in_another_form_is_refused_with_its_line(form: str, place: Path) -> None:
    """`.env`, agents, voices and prompts are refused in the same words."""
    data, words = REFUSED[form]
    for name in (".env", "agents.toml", "voices.toml", "system.txt"):
        (place / name).write_bytes(data)

    for load, name in (
        (Settings.load, r"\.env"),
        (lambda: load_profiles(Path("agents.toml")), "agents.toml"),
        (lambda: load_voices(Path("voices.toml")), "voices.toml"),
        (lambda: Prompts(Path()), "system.txt"),
    ):
        with pytest.raises(SettingsError, match=name + words):
            load()


def test_a_folder_in_the_place_of_a_file_is_told(place: Path) -> None:
    """A container makes a folder where the file to be mounted is missing."""
    (place / ".env").mkdir()

    with pytest.raises(SettingsError, match=r"\.env: is a folder"):
        Settings.load()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_text_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Nothing but SettingsError is raised, and what is read has one kind of line end."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)

    try:
        text = read_text(path)
    except SettingsError:
        return
    assert "\r" not in text
    with suppress(SettingsError):
        read_toml(path)


def test_the_line_of_a_key() -> None:
    """It is searched below its own header, and in an array below the table of that number."""
    text = "x = 1\n[a]\ny = 1\n[[b]]\ny = 2\n[[ b ]]\nz = 1\ny = 3\n[a.c]\ny = 4\n"

    places = [
        ("", "x", 1), ("a", "y", 1), ("[b]", "y", 1), ("[b]", "y", 2), ("a.c", "y", 1),
        ("a", "none", 1), ("none", "", 1),
    ]  # fmt: skip
    found = [line_of(text, header, key, number) for header, key, number in places]
    assert [1, 3, 5, 8, 10, 2, 1] == found


def test_each_value_of_a_file_has_a_name() -> None:
    """Tables and arrays of tables are named by their place."""
    tables = {"a": {"b": 1}, "c": [{"d": True}, {"d": "x"}], "e": [1, 2]}

    expected = [("a.b", "1"), ("c[1].d", "True"), ("c[2].d", "x"), ("e", "[1, 2]")]
    assert expected == dotted(tables)
