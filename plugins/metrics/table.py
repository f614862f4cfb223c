"""Shows figures to people: what is zero is left out, bytes and seconds have their units."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from plugins.metrics.figures import Distribution, Figure, Labels

UNITS = ("B", "kB", "MB", "GB", "TB")


def show(figures: list[Figure], base: str) -> None:
    """Print the figures, and below them the times."""
    counts = Table("Figure", "", "", box=SIMPLE_HEAD, title=f"Show at {escape(base)}")
    times = Table("Time", "", "mean", "half within", "95 % within", "n", box=SIMPLE_HEAD)
    for figure in figures:
        doc = escape(figure.doc.removesuffix("."))
        if figure.type == "histogram":
            for labels, value in figure.values:
                if isinstance(value, Distribution):
                    times.add_row(doc, _label(labels), *_times(value))
                    doc = ""
        else:
            for label, text in rows(figure):
                counts.add_row(doc, escape(label), escape(text))
                doc = ""
    console = Console(highlight=False)
    console.print(counts)
    console.print(times)


def rows(figure: Figure) -> Iterator[tuple[str, str]]:
    """Yield what `figure` goes by and how much it is; one row says so if all of it is zero."""
    unit = figure.name.rpartition("_")[2]
    told = False
    for labels, value in figure.values:
        if isinstance(value, Distribution) or (labels and not value):
            continue
        told = True
        if figure.name.endswith("plugin_state"):
            yield labels["plugin"], labels["state"]
        else:
            yield ", ".join(labels.values()).replace("_", " "), _number(value, unit)
    if not told:
        yield "", "none"


def _label(labels: Labels) -> str:
    return escape(", ".join(value.replace("_", " ") for value in labels.values()))


def _times(times: Distribution) -> list[str]:
    values = (times.mean, times.p50, times.p95)
    shown = ["-" if value is None else _number(value, "seconds") for value in values]
    return [*shown, str(times.count)]


def _number(value: float, unit: str) -> str:
    if unit == "seconds":
        return f"{value * 1000:.3g} ms" if value < 0.9995 else f"{value:.1f} s"
    if unit == "bytes":
        power = 0
        while value >= 1000 and power < len(UNITS) - 1:
            value, power = value / 1000, power + 1
        return f"{value:.{1 if power else 0}f} {UNITS[power]}"
    return f"{value:g}" if value % 1 else f"{value:.0f}"
