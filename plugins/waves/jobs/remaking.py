"""Has the waves of an utterance made again when somebody asks for it."""

from plugins.waves.files import paths
from plugins.waves.jobs.sources import source_of
from plugins.waves.jobs.water import Water
from plugins.waves.jobs.wave_job import WaveJob, WavesContext
from plugins.waves.pool import Pool


class Remaking:
    """Submits jobs for utterances whose waves stand there or not; live ones go first."""

    def __init__(self, context: WavesContext, pool: Pool) -> None:
        self._context = context
        self._pool = pool
        self.water = Water(context.host.artifacts, pool)

    def submit(self, audio_path: str) -> bool:
        """Submit the job of an utterance; tell whether it waits or runs now.

        Raises ArtifactError if it is not there or its session is being removed, WavesError
        if it is no speech of a session.
        """
        host = self._context.host
        path = host.artifacts.served(audio_path)
        paths.session_targets(path, host.artifacts.root)
        if self._pool.is_quarantined(str(path)):
            return False
        event = source_of(path, host.artifacts)
        with host.leases.held(event.session_id):
            job = WaveJob(str(path), event, self._context, backfill=True)
            return self._pool.holds(job.path) or self._pool.submit(job, live=False)
