"""The pool: jobs wait, workers do them, whatever happens to a worker."""

from plugins.waves.pool.disk_space import DiskSpace
from plugins.waves.pool.job import Outcome, Work
from plugins.waves.pool.pool import OnState, Pool
from plugins.waves.pool.quarantine import DAY_S, identity

__all__ = ["DAY_S", "DiskSpace", "OnState", "Outcome", "Pool", "Work", "identity"]
