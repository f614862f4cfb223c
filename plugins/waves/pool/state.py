"""The state of a pool, with a reason that says what is wrong."""

from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Literal

from plugins.waves.pool.job_table import JobTable
from plugins.waves.pool.lane import Lane
from plugins.waves.pool.load import SLOW_FACTOR

LASTING_AFTER = 3  # starts that fail the same way, of all lanes

State = Literal["ok", "warming", "degraded"]


def state_of(
    lanes: Sequence[Lane], jobs: JobTable, pause_reason: str, preparing: str
) -> tuple[State, str]:
    """Return the state and its reason, which is empty if all is well; call it with the lock."""
    if problems := "; ".join(_problems(lanes, jobs, pause_reason)):
        return "degraded", problems
    if not any(lane.ready for lane in lanes):
        return "warming", preparing or "the workers are starting"
    if count := len(jobs.quarantine):
        return "ok", f"{count} set aside after crashing two workers each: see the log"
    return "ok", ""


def lasting_problem(lanes: Sequence[Lane]) -> str:
    """Return why no lane will have a worker; nothing if one has, or may have soon."""
    for lane in lanes if not any(lane.ready for lane in lanes) else ():
        if sum(one.same_failures for one in lanes if one.problem == lane.problem) >= LASTING_AFTER:
            return f"no worker can be started: {lane.problem}"
    return ""


def _problems(lanes: Sequence[Lane], jobs: JobTable, pause_reason: str) -> Iterator[str]:
    if jobs.refusal:
        yield jobs.refusal
    elif failed := [lane for lane in lanes if lane.failed_starts]:
        yield f"{len(failed)} of {len(lanes)} workers cannot start: {failed[0].problem}"
    if pause_reason:
        yield pause_reason
    if jobs.queued and jobs.is_full:
        yield f"{jobs.queued} wait, the queue is full"
    if refused := jobs.load.refused:
        yield f"{refused} were refused in the last minute"
    running = [(lane.job, lane.job.attempted_at) for lane in lanes if lane.job]
    limits = [
        limit_s
        for job, since in running
        if since is not None and monotonic() - since > (limit_s := jobs.load.slow_s(job.size))
    ]
    if limits:
        yield (
            f"{len(limits)} of {len(lanes)} workers take more than {limits[0]:.0f} s for a job, "
            f"{SLOW_FACTOR} times the usual"
        )
