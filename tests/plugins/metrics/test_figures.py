"""An exposition read back: the numbers are those that were counted."""

import json
import math

import pytest
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest

from plugins.metrics.figures import quantile, read


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (0.9, 3.2), (0.95, 3.6), (1.0, 4.0)],
)
def test_a_quantile_is_interpolated_in_its_bucket(share: float, expected: float) -> None:
    """Five values to 1, five to 4: a share of them lies on the straight lines between."""
    values = [(1.0, 10.0), (2.0, 15.0), (4.0, 20.0), (math.inf, 20.0)]

    assert expected == pytest.approx(quantile(values, share))


def test_a_quantile_beyond_the_last_limit_is_that_limit() -> None:
    """Of values above every bucket no more is known; of no values nothing is."""
    assert 60.0 == quantile([(1.0, 1.0), (60.0, 1.0), (math.inf, 10.0)], 0.95)
    assert quantile([(1.0, 0.0), (math.inf, 0.0)], 0.5) is None


def test_a_histogram_is_read_by_its_labels() -> None:
    """Count and mean are exact, for each set of labels."""
    registry = CollectorRegistry()
    histogram = Histogram("t_seconds", "Times.", ("stage",), registry=registry, buckets=(1, 2))
    for value in (0.5, 1.5):
        histogram.labels("a").observe(value)
    histogram.labels("b")

    (figure, *_) = read(generate_latest(registry).decode())

    assert [
        {"labels": {"stage": "a"}, "count": 2, "mean": 1.0, "p50": 1.0, "p95": pytest.approx(1.9)},
        {"labels": {"stage": "b"}, "count": 0, "mean": None, "p50": None, "p95": None},
    ] == figure["values"]


def test_figures_are_data_that_every_reader_takes() -> None:
    """What is not a number is null, since JSON has no name for it."""
    registry = CollectorRegistry()
    Gauge("lit", "Lamps.", registry=registry).set(math.nan)

    (figure,) = read(generate_latest(registry).decode())

    text = json.dumps(figure, allow_nan=False)
    assert [{"labels": {}, "value": None}] == json.loads(text)["values"]


def test_a_histogram_that_goes_below_0_has_no_mean() -> None:
    """Prometheus shows no sum of it; its percentiles are those of its buckets."""
    registry = CollectorRegistry()
    histogram = Histogram("t_db", "Levels.", registry=registry, buckets=(-20, -10, 0))
    for value in (-30, -15, -15, -5):
        histogram.observe(value)

    (figure, *_) = read(generate_latest(registry).decode())

    (row,) = figure["values"]
    assert (4, None, -15.0) == (row["count"], row["mean"], row["p50"])
    assert -20.0 == quantile([(-20.0, 1.0), (math.inf, 1.0)], 0.5)
