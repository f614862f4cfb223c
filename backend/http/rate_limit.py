"""A limit of requests for each client, by the generic cell rate algorithm (ITU-T I.371)."""

from time import monotonic

MAX_CLIENTS = 1_000
"""Of these the times are kept; of more, those of the ones that came first are forgotten."""


class RateLimit:
    """Admits `per_minute` requests of a client, all of them at once or spread out."""

    def __init__(self, per_minute: int) -> None:
        self._interval_s = 60 / per_minute
        self._burst_s = 60 - self._interval_s
        self._due_at: dict[str, float] = {}
        """When each client has used up nothing of its minute."""

    def wait_s(self, client: str, *, counts: bool = True) -> float:
        """Return 0 if a request is admitted, and count it; else the seconds until one would be."""
        now = monotonic()
        due_at = max(self._due_at.get(client, now), now)
        wait_s = due_at - self._burst_s - now
        if wait_s > 0 or not counts:
            return max(wait_s, 0.0)
        if client not in self._due_at and len(self._due_at) >= MAX_CLIENTS:
            del self._due_at[next(iter(self._due_at))]
        self._due_at[client] = due_at + self._interval_s
        return 0.0
