"""The pool: jobs wait, workers do them, whatever happens to a worker."""

from plugins.waves.pool.disk_space import DiskSpace
from plugins.waves.pool.job import AwaitedWork, Job, Outcome, Work
from plugins.waves.pool.job_table import JobTable
from plugins.waves.pool.pool import OnState, Pool
from plugins.waves.pool.quarantine import DAY_S, identity
from plugins.waves.pool.remote import Remote

__all__ = [
    "DAY_S",
    "AwaitedWork",
    "DiskSpace",
    "Job",
    "JobTable",
    "OnState",
    "Outcome",
    "Pool",
    "Remote",
    "Work",
    "identity",
]
