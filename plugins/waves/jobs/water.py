"""How the water of a dish answers to a wave: computed by a worker, once for each wave."""

import asyncio
from collections.abc import Mapping

from backend.errors import ArtifactError
from backend.storage import Artifacts, is_wave_name
from plugins.waves.pool import AwaitedWork, Pool, identity

KEPT = 64
"""Waves whose motion is kept in memory, of some 10 kB each."""
LIMIT_S = 10.0


class Water:
    """Has the water of waves computed when somebody asks for it; the waves of speech go first."""

    def __init__(self, artifacts: Artifacts, pool: Pool) -> None:
        self._artifacts, self._pool = artifacts, pool
        self._jobs: dict[object, AwaitedWork] = {}

    async def motion(self, requested: str) -> Mapping[str, object] | None:
        """Return what `plugins.waves.water.motion` does; None if it is not there, or not yet.

        Raises ArtifactError if there is no such wave.
        """
        path = await asyncio.to_thread(self._artifacts.served, requested)
        key = (path, await asyncio.to_thread(identity, str(path)))
        if not is_wave_name(path.name):
            raise ArtifactError("no wave")
        job = self._jobs.get(key)
        if job is None or (job.done() and job.result().reason):
            if not (self._pool.worker_pids and self._pool.has_room_for_backfill):
                return None
            job = self._jobs[key] = AwaitedWork(str(path), (str(path), str(self._artifacts.root)))
            self._pool.submit(job, live=False, here=True)
            if len(self._jobs) > KEPT:
                del self._jobs[next(iter(self._jobs))]
        done, _ = await asyncio.wait([asyncio.wrap_future(job)], timeout=LIMIT_S)
        return job.result().report.data or None if done else None
