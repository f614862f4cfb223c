"""What a command prints: tables where they fit, lists where they do not, data, and durations.

Standard output gets results, standard error everything else. Nothing is cut off: a table that is
wider than the terminal becomes a list. Without a terminal nothing is folded either.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from backend.terminal.streams import discard_output

USUAL_COLUMNS = 80
"""Of a terminal that does not say."""
WIDE = 10_000
"""Columns without a terminal, as in a pipe or a file."""
UNITS_S = (("day", 86_400), ("h", 3600), ("min", 60), ("s", 1))


class _Console(Console):
    """A console of which the reader may go away, as `head` does: the command then goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        discard_output()


def output() -> Console:
    """Return where results are printed."""
    return _console(stderr=False)


def messages() -> Console:
    """Return where everything else is printed: progress, problems."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    width = _columns(sys.stderr if stderr else sys.stdout)
    return _Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def _columns(stream: TextIO) -> int:
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError):
        return WIDE


def show_json(data: Any) -> None:
    """Print data as JSON, in ASCII."""
    output().out(json.dumps(data, indent=2))


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows as a table, or as a list of what stands in the first column if that is too wide.

    In the list a heading that repeats is printed once, and empty cells are left out.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = output()
    table = Table(box=SIMPLE_HEAD)
    for title in titles:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    if console.measure(table, options=console.options.update_width(WIDE)).maximum <= console.width:
        console.print(table)
        return
    heading = None
    for first, *others in rows:
        if first != heading:
            console.print(first, soft_wrap=True)
            heading = first
        cells = zip(titles[1:], others, strict=True)
        parts = [f"{title.lower()}: {cell}" if title else cell for title, cell in cells if cell]
        show_paragraph(console, ", ".join(parts), (4, 6))


def show_paragraph(
    console: Console, text: str, indents: tuple[int, int] = (0, 4), style: str = ""
) -> None:
    """Print a paragraph folded between words; `indents` are those of its first line and others."""
    indent, following = indents
    for line in Text(text).wrap(console, max(1, console.width - following)):
        line.rstrip()
        console.print(Text(" " * indent) + line, style=style, soft_wrap=True)
        indent = following


def duration(seconds: float) -> str:
    """Return a duration as people say it, such as `87 ms`, `9.5 s`, `3 min 54 s` or `5 days`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms" if seconds else "0 s"
    if seconds < 60:
        return f"{round(seconds, 1):g} s"
    rest = round(seconds)
    words: list[str] = []
    for unit, length_s in UNITS_S:
        count, rest = divmod(rest, length_s)
        if count or words:
            words.append(f"{count} {unit}{'s' * (unit == 'day' and count > 1)}" if count else "")
    return " ".join(filter(None, words[:2]))
