"""Read figures back from Prometheus' text format, as plain data."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

Figure = dict[str, Any]


def read(exposition: str) -> list[Figure]:
    """Return each figure with its values; a ValueError means that the text has another format."""
    figures = []
    for family in text_string_to_metric_families(exposition):
        values = _distributions(family) if family.type == "histogram" else _values(family)
        figure = {"name": family.name, "type": family.type, "help": family.documentation}
        figures.append({**figure, "values": list(values)})
    return figures


def _values(family: Metric) -> Iterator[Figure]:
    for sample in family.samples:
        value = sample.value if math.isfinite(sample.value) else None
        yield {"labels": sample.labels, "value": value}


def _distributions(family: Metric) -> Iterator[Figure]:
    """Yield count, mean and percentiles of each series, whose samples differ only in the bucket."""
    series: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in family.samples:
        labels = dict(sample.labels)
        limit = labels.pop("le", sample.name.removeprefix(family.name))
        series.setdefault(tuple(labels.items()), {})[limit] = sample.value
    for key, samples in series.items():
        count, total = samples.pop("_count"), samples.pop("_sum", None)  # none if below 0
        buckets = [(float(limit), below) for limit, below in samples.items()]
        yield {
            "labels": dict(key),
            "count": int(count),
            "mean": total / count if count and total is not None else None,
            "p50": quantile(buckets, 0.5),
            "p95": quantile(buckets, 0.95),
        }


def quantile(buckets: Sequence[tuple[float, float]], share: float) -> float | None:
    """Return the value that `share` of all values are below, interpolated within its bucket."""
    wanted = share * buckets[-1][1]
    if not wanted:
        return None
    lower, before = min(0.0, buckets[0][0]), 0.0
    for limit, below in buckets:
        if limit == math.inf:
            break
        if below >= wanted:
            return lower + (limit - lower) * (wanted - before) / (below - before)
        lower, before = limit, below
    return lower
