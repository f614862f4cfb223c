"""Reads an exposition back: figures in order, histograms as count, mean and percentiles."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram tells; a percentile is as exact as its buckets, and none without values."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its values, each with the labels it goes under."""

    name: str
    doc: str
    type: str
    values: list[tuple[Labels, float | Distribution]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the figure as plain data."""
        values = [{"labels": labels, **_plain(value)} for labels, value in self.values]
        return {"name": self.name, "type": self.type, "help": self.doc, "values": values}


def read(exposition: str) -> list[Figure]:
    """Take an exposition apart.

    Raises
    ------
    ValueError
        If it is none.
    """
    return [_figure(family) for family in text_string_to_metric_families(exposition)]


def _figure(family: Metric) -> Figure:
    figure = Figure(family.name, family.documentation, family.type)
    if family.type == "histogram":
        figure.values.extend(_distributions(family))
    else:
        figure.values.extend((dict(sample.labels), sample.value) for sample in family.samples)
    return figure


def _distributions(family: Metric) -> Iterator[tuple[Labels, Distribution]]:
    """Put the samples of a histogram together that differ in nothing but their bucket."""
    series: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        limit = labels.pop("le", sample.name.removeprefix(family.name))
        series.setdefault(tuple(labels.items()), {})[limit] = sample.value
    for key, samples in series.items():
        count, total = samples.pop("_count"), samples.pop("_sum")
        buckets = sorted((float(limit), below) for limit, below in samples.items())
        yield (
            dict(key),
            Distribution(
                int(count),
                total / count if count else None,
                quantile(buckets, 0.5),
                quantile(buckets, 0.95),
            ),
        )


def quantile(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """Return the value that `share` of all values stay below, as Prometheus estimates it.

    Parameters
    ----------
    buckets : iterable of (float, float)
        Upper limits, rising, the last one infinite, with the number of values up to each.
    share : float
        From 0 to 1.
    """
    limits = list(buckets)
    wanted = share * limits[-1][1]
    if not wanted:
        return None
    lower, before = 0.0, 0.0
    for limit, below in limits:
        if below >= wanted and not math.isinf(limit):
            return lower + (limit - lower) * (wanted - before) / (below - before)
        if below < wanted:
            lower, before = limit, below
    return limits[-2][0] if len(limits) > 1 else None


def _plain(value: float | Distribution) -> dict[str, Any]:
    if isinstance(value, Distribution):
        return {"count": value.count, "mean": value.mean, "p50": value.p50, "p95": value.p95}
    return {"value": value if math.isfinite(value) else None}
