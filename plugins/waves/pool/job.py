"""A job of the pool, those who wait for its end, and how it ended."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from plugins.waves.process import Report


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended; `reason` is empty when it succeeded."""

    reason: str
    message: str
    report: Report = field(default_factory=Report)
    queued_ms: float = 0.0
    running_ms: float = 0.0
    attempts: int = 0


class Work(Protocol):
    """What is to be done for one file.

    Both methods are called on threads of the pool; `end` on that of `submit` if nothing runs.
    """

    path: str

    def begin(self, queued_ms: float) -> object:
        """Return what is sent to the worker; called once, when a lane takes the job."""

    def end(self, outcome: Outcome) -> None:
        """Handle how it ended; called exactly once, accepted or refused."""


class AwaitedWork(Future[Outcome]):
    """Work whose outcome somebody waits for."""

    def __init__(self, path: str, payload: object) -> None:
        super().__init__()
        self.path, self._payload = path, payload

    def begin(self, queued_ms: float) -> object:  # noqa: ARG002 - the signature of `Work`
        """Return what is sent to the worker."""
        return self._payload

    def end(self, outcome: Outcome) -> None:
        """Keep the outcome."""
        self.set_result(outcome)


@dataclass(slots=True, eq=False)
class Job:
    """An accepted file, and every `Work` that waits for it."""

    path: str
    works: list[Work]
    live: bool
    accepted_at: float
    here: bool = False
    """Whether only this machine can do it."""
    started_at: float | None = None
    payload: object = None
    attempts: int = 0
    crashes: int = 0
    kills: int = 0
    not_before: float = 0.0
    """When it may begin (monotonic)."""
    attempted_at: float | None = None
    """When the present attempt began; None while there is none."""
    size: int = 0
    """Bytes of the file, 0 if there is none."""
    ended: bool = False

    def outcome(self, reason: str, message: str, report: Report | None = None) -> Outcome:
        """Return how this job ended, with its times until now."""
        now = monotonic()
        started = now if self.started_at is None else self.started_at
        queued_ms, running_ms = (started - self.accepted_at) * 1000, (now - started) * 1000
        return Outcome(reason, message, report or Report(), queued_ms, running_ms, self.attempts)
