"""The plan of a simulated day: when visitors come, and what they ask."""

import random
from dataclasses import dataclass
from pathlib import Path

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Plan:
    """At most `visitors` at once, `per_hour` on average, for `hours`, at `speed`."""

    visitors: int
    per_hour: float
    hours: float
    speed: float
    seed: int | None = None

    @property
    def opening_s(self) -> float:
        """Real seconds from the opening to the end of the opening hours."""
        return self.hours * HOUR_S / self.speed

    def arrivals(self) -> list[tuple[float, str]]:
        """Draw the real seconds after the opening at which each visitor comes, and a question.

        They come independently of each other: a Poisson process.
        """
        rng = random.Random(self.seed)  # noqa: S311 - no secret
        questions = Path(__file__).with_name("questions.txt").read_text("utf-8").splitlines()
        rate = self.per_hour / HOUR_S * self.speed
        found: list[tuple[float, str]] = []
        at_s = rng.expovariate(rate)
        while at_s < self.opening_s:
            found.append((at_s, rng.choice(questions)))
            at_s += rng.expovariate(rate)
        return found
