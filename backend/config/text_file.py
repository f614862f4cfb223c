"""Reads every file that people write: `.env`, `agents.toml`, `voices.toml`, prompts.

One rule for all. UTF-8, with or without a byte order mark, or UTF-16 with one; any line ends; at
most `MAX_BYTES`; no NUL. Anything else is a SettingsError that names the file, and the line if it
is in one.
"""

import codecs
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backend.errors import SettingsError

MAX_BYTES = 2**20
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class FileError(SettingsError):
    """A file cannot be read as text."""


def read_text(path: Path, setting: str = "") -> str:
    r"""Return the text of a file, its lines ended by `\n`, or raise SettingsError.

    `setting` is the variable that names the file.
    """
    named = f"{setting}={path}" if setting else str(path)
    try:
        if path.is_dir():
            raise FileError(f"{named}: is a folder: name a file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{named}: cannot be read ({reason}): name a file") from error
    if len(data) > MAX_BYTES:
        raise FileError(f"{named}: has more than {MAX_BYTES} bytes: name another file")
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise FileError(f"{path}, line {line}: is not UTF-8: save it as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise FileError(f"{path}, line {line}: holds a NUL character: save it as UTF-8")
    return text


def read_toml(path: Path, setting: str = "") -> tuple[dict[str, Any], str]:
    """Return the tables of a TOML file, and its text for `line_of`; or raise SettingsError."""
    text = read_text(path, setting)
    try:
        return tomllib.loads(text), text
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SettingsError(f"{path} is not TOML: {error}") from error


def line_of(text: str, header: str, key: str = "", number: int = 1) -> int:
    """Return the line of a key below the `number`-th `[header]`, or of that header; 1 if neither.

    The header of an array of tables is `[name]`, with its inner brackets. An empty header is what
    stands above all. A key with a dot or in quotes is not found.
    """
    found, count, inside = 1, 0, not header
    for line, content in enumerate(text.split("\n"), start=1):
        if match := re.match(r"\s*\[(\[?[^\]]+\]?)\]", content):
            is_header = match[1].replace(" ", "") == header
            count += is_header
            inside = is_header and count == number
            found = line if inside else found
        elif inside and key and re.match(rf"\s*{re.escape(key)}\s*=", content):
            return line
    return found


def dotted(tables: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return each value of a TOML file with its dotted name, as `config` shows what was read."""
    rows = []
    for key, value in tables.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            rows += dotted(value, f"{name}.")
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for number, one in enumerate(value, start=1):
                rows += dotted(one, f"{name}[{number}].")
        else:
            rows.append((name, str(value)))
    return rows
