"""Pairwise combinations: each two values meet in an ordinary test, all of them end to end."""

from collections.abc import Sequence
from itertools import combinations, product
from typing import Any

import pytest


def pairwise(*axes: Sequence[Any]) -> list[Any]:
    """Return the product of `axes`; rows that bring no new pair of values are marked `e2e`."""

    def pairs(row: tuple[Any, ...]) -> set[Any]:
        return set(combinations(enumerate(row), 2))

    rows = list(product(*axes))
    missing = set().union(*map(pairs, rows))
    quick = []
    while missing:
        quick.append(max(rows, key=lambda row: len(pairs(row) & missing)))
        missing -= pairs(quick[-1])
    return [row if row in quick else pytest.param(*row, marks=pytest.mark.e2e) for row in rows]
