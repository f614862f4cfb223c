"""The README files as data: their sections, their code by file name, their tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MAIN = "README.md"
Table = dict[str, list[str]]

_BLOCK = re.compile(r"(?ms)^```(?:python|toml)\n# (?P<name>\S+)\n(?P<rest>.*?)^```$")
_NAME = re.compile(r"`(\w+)[^`]*`")


def pages() -> list[Path]:
    """Return every Markdown file of the project."""
    folders = (ROOT, *(ROOT / name for name in (".github", "backend", "plugins", "tests")))
    return sorted(
        page
        for folder in folders
        for page in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
    )


def section(page: str, title: str) -> str:
    """Return the text of a section of a file, up to the next one."""
    _, heading, rest = (ROOT / page).read_text("utf-8").partition(f"\n## {title}\n")
    assert heading, f"{page} has no section {title!r}"
    return rest.partition("\n## ")[0]


def files(page: str, title: str) -> dict[str, str]:
    """Return the code of a section by the file names in the first line of each block."""
    return {
        block["name"]: f"# {block['name']}\n{block['rest']}"
        for block in _BLOCK.finditer(section(page, title))
    }


def table(page: str, title: str, heading: str) -> Table:
    """Return a section's table whose first column is called `heading`.

    A row is found by each of the names in its first cell, and is its other cells.
    """
    _, start, rest = section(page, title).partition(f"\n| {heading} |")
    assert start, f"the section {title!r} of {page} has no table of {heading!r}"
    rows: Table = {}
    for line in rest.partition("\n\n")[0].splitlines()[2:]:
        first, *others = (cell.strip() for cell in line.strip().strip("|").split("|"))
        rows.update(dict.fromkeys(_NAME.findall(first), others))
    return rows
