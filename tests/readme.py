"""The README as data: its sections, their code by file name, their tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
Table = dict[str, list[str]]

_BLOCK = re.compile(r"(?ms)^```(?:python|toml)\n# (?P<name>\S+)\n(?P<rest>.*?)^```$")
_NAME = re.compile(r"`(\w+)[^`]*`")


def section(title: str) -> str:
    """Return the text of a section, up to the next one."""
    _, heading, rest = (ROOT / "README.md").read_text("utf-8").partition(f"\n## {title}\n")
    assert heading, f"README.md has no section {title!r}"
    return rest.partition("\n## ")[0]


def files(title: str) -> dict[str, str]:
    """Return the code of a section by the file names in the first line of each block."""
    return {
        block["name"]: f"# {block['name']}\n{block['rest']}"
        for block in _BLOCK.finditer(section(title))
    }


def table(title: str, heading: str) -> Table:
    """Return a section's table whose first column is called `heading`.

    A row is found by each of the names in its first cell, and is its other cells.
    """
    _, start, rest = section(title).partition(f"\n| {heading} |")
    assert start, f"the section {title!r} of README.md has no table of {heading!r}"
    rows: Table = {}
    for line in rest.partition("\n\n")[0].splitlines()[2:]:
        first, *others = (cell.strip() for cell in line.strip().strip("|").split("|"))
        rows.update(dict.fromkeys(_NAME.findall(first), others))
    return rows
