"""What does jobs of a pool on other machines, as far as the pool knows."""

from typing import Protocol

from plugins.waves.pool.job import Job


class Remote(Protocol):
    """Takes jobs of the pool's table while it is `usable`; the lanes do not then."""

    usable: bool
    problem: str
    """Why it is not used; empty while it is."""

    @property
    def held(self) -> list[Job]:
        """Return the jobs it has taken that have not ended."""

    def start(self) -> None:
        """Take jobs once it can."""

    def end(self) -> None:
        """Take no more jobs; return at once."""

    def join(self, limit_s: float) -> None:
        """End for good, within `limit_s`."""
