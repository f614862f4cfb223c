"""The work on utterances: live, found later, and recorded."""

from plugins.waves.jobs.backfill import Backfill, adopt, prepared
from plugins.waves.jobs.search import Found, Search
from plugins.waves.jobs.wave_job import Bench, Utterance

__all__ = ["Backfill", "Bench", "Found", "Search", "Utterance", "adopt", "prepared"]
