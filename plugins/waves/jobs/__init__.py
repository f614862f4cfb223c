"""The work on utterances: live, found later, and recorded."""

from plugins.waves.jobs.backfill import Backfill, adopt, prepared
from plugins.waves.jobs.remaking import Remaking
from plugins.waves.jobs.search import Found, Search
from plugins.waves.jobs.sources import source_of
from plugins.waves.jobs.wave_job import WaveJob, WavesContext

__all__ = [
    "Backfill",
    "Found",
    "Remaking",
    "Search",
    "WaveJob",
    "WavesContext",
    "adopt",
    "prepared",
    "source_of",
]
