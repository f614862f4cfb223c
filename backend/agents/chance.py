"""Seeded random choices: the same session gives the same choices, in whichever order slots run."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def seeded_random(*key: object) -> random.Random:
    """Return a generator that depends on `key` alone, the same on every machine."""
    return random.Random("\x1f".join(map(str, key)))  # noqa: S311 - a show, not a secret


def pick_distinct(items: Sequence[T], place: int, *key: object) -> T:
    """Return the item at `place` (from 0) of `items` shuffled by `key`.

    As long as there are enough items, no two places get the same one.
    """
    shuffled = seeded_random(*key).sample(items, len(items))
    return shuffled[place % len(shuffled)]
