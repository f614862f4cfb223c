"""Shows figures to people: what is zero is left out, bytes and seconds have their units."""

from collections.abc import Iterator

from backend.terminal import duration, output, show_table
from plugins.metrics.figures import Distribution, Figure, Labels

UNITS = ("B", "kB", "MB", "GB", "TB")


def show(figures: list[Figure], base: str) -> None:
    """Print the figures, and below them the times."""
    counts: list[tuple[str, ...]] = []
    times: list[tuple[str, ...]] = []
    for figure in figures:
        doc = figure.doc.removesuffix(".")
        if figure.type == "histogram":
            times += [
                (doc, _label(labels), *_times(value))
                for labels, value in figure.values
                if isinstance(value, Distribution)
            ]
        else:
            counts += [(doc, label, text) for label, text in rows(figure)]
    output().out(f"show at {base}")
    show_table(("Figure", "", ""), counts)
    show_table(("Time", "", "Mean", "Half within", "95 % within", "Number"), times)


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
            yield _label(labels), _number(value, unit)
    if not told:
        yield "", "none"


def _label(labels: Labels) -> str:
    return ", ".join(value.replace("_", " ") for value in labels.values())


def _times(times: Distribution) -> list[str]:
    values = (times.mean, times.p50, times.p95)
    shown = ["-" if value is None else _number(value, "seconds") for value in values]
    return [*shown, str(times.count)]


def _number(value: float, unit: str) -> str:
    if unit == "seconds":
        return duration(value)
    if unit == "bytes":
        power = 0
        while value >= 1000 and power < len(UNITS) - 1:
            value, power = value / 1000, power + 1
        return f"{value:.{1 if power else 0}f} {UNITS[power]}"
    return f"{value:g}" if value % 1 else f"{value:.0f}"
