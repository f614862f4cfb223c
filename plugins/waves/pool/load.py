"""How loaded the pool is: what was refused in the last minute, and how long a job may take."""

from collections import deque
from statistics import median
from time import monotonic

REFUSALS_COUNT_S = 60
RECENT_JOBS = 50
SLOW_FACTOR = 100
MIN_SLOW_S = 10.0
"""A job of some milliseconds may wait so long for a processor without any fault."""
UNKNOWN_SLOW_S = 30.0
"""How long a job may take before any was done: half of the default limit."""


class Load:
    """Counts refusals and times of jobs; called with the lock of the pool."""

    def __init__(self) -> None:
        self._refusals: deque[tuple[int, int]] = deque()
        """A second (monotonic) and how many were refused in it."""
        self._done: deque[tuple[float, int]] = deque(maxlen=RECENT_JOBS)
        """Seconds that a job took, and the bytes of its file."""

    def refuse(self) -> None:
        """Count a refusal; takes microseconds."""
        second, count = int(monotonic()), 1
        if self._refusals and self._refusals[-1][0] == second:
            count += self._refusals.pop()[1]
        self._refusals.append((second, count))
        if len(self._refusals) > REFUSALS_COUNT_S:
            self._refusals.popleft()

    @property
    def refused(self) -> int:
        """How many were refused in the last minute."""
        since = monotonic() - REFUSALS_COUNT_S
        return sum(count for second, count in self._refusals if second > since)

    def finish(self, seconds: float, size: int) -> None:
        """Note that a job for a file of `size` bytes took `seconds`."""
        self._done.append((seconds, size))

    def slow_s(self, size: int) -> float:
        """Return the seconds after which a job takes far longer than usual for its size."""
        if not self._done:
            return UNKNOWN_SLOW_S
        per_byte = [seconds / known for seconds, known in self._done if known]
        if size and per_byte:
            usual_s = median(per_byte) * size
        else:
            usual_s = median(seconds for seconds, _ in self._done)
        return max(MIN_SLOW_S, SLOW_FACTOR * usual_s)
