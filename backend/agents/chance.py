"""Seeded chance: the same session gives the same draws, whoever finishes first."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def chance(*key: object) -> random.Random:
    """Return a generator that depends on `key` alone.

    Every draw has a generator of its own, so no draw depends on how many came before it: six slots
    that run at the same time draw the same cards in whichever order they finish. A text key is
    hashed by `random` itself and gives the same numbers in every process.
    """
    return random.Random("\x1f".join(map(str, key)))  # noqa: S311 - a show, not a secret


def deal(cards: Sequence[T], hand: int, *key: object) -> T:
    """Return the card that `hand` (counted from 0) gets from the deck shuffled by `key`.

    As long as there are enough cards no two hands get the same one, though neither knows the other.
    """
    shuffled = chance(*key).sample(cards, len(cards))
    return shuffled[hand % len(shuffled)]
