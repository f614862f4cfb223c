"""Print results to standard output and messages to standard error: tables, JSON, durations.

Nothing is cut off: a table that is wider than the terminal is printed as a list. Without a terminal
no line is folded.
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
"""Of a terminal whose width is not known."""
LEAST_COLUMNS = 20
"""Fewer that `COLUMNS` asks for would break every word."""
WIDE = 10_000
"""Columns without a terminal, as in a pipe or a file."""
UNITS_S = (("day", 86_400), ("h", 3600), ("min", 60), ("s", 1))


class _Console(Console):
    """A console that is silent once its reader has ended, as `head` does.

    A message that cannot be written is lost and stops nothing; a result is an error.
    """

    def on_broken_pipe(self) -> None:
        self.quiet = True
        if not self.stderr:
            discard_output()

    def __exit__(self, *given: Any) -> None:
        try:
            super().__exit__(*given)
        except OSError as error:
            if not self.stderr:
                raise OSError(f"standard output: {error.strerror}") from error
            self.quiet = True


def output() -> Console:
    """Return the console for results."""
    return _console(stderr=False)


def messages() -> Console:
    """Return the console for everything else: progress, problems."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    width = _columns(sys.stderr if stderr else sys.stdout)
    return _Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def _columns(stream: TextIO) -> int:
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked):
        return max(int(asked), LEAST_COLUMNS)
    try:
        return os.get_terminal_size(stream.fileno()).columns or USUAL_COLUMNS
    except (OSError, ValueError):
        return WIDE


def show_json(data: Any) -> None:
    """Print data as JSON, in ASCII."""
    output().out(json.dumps(data, indent=2))


def show_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows as a table, or, if that is too wide, as a list headed by the first column.

    In the list, a repeated heading is printed once, and empty cells are left out.
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
    """Print a paragraph folded between words; `indents` are for its first line and the others."""
    indent, following = indents
    for line in Text(text).wrap(console, max(1, console.width - following)):
        line.rstrip()
        console.print(Text(" " * indent) + line, style=style, soft_wrap=True)
        indent = following


def duration(seconds: float) -> str:
    """Return a duration in words, such as `87 ms`, `9.5 s`, `3 min 54 s` or `5 days`."""
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
