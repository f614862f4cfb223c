"""The recorder plugin: writes the signals of each session to a file, and replays them.

signals --receive()--> EventQueue --> a line of tts/sessions/<id>/signals.jsonl
(event loop)           (one task)     (on a thread)
POST /v1/replays --> Replays --> emit(..., to=the plugins that present)
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backend.plugins import Host
from plugins.recorder.recorder import Recorder
from plugins.recorder.replays import Replays
from plugins.recorder.settings import RecorderSettings


@asynccontextmanager
async def lifespan(host: Host, settings: RecorderSettings) -> AsyncIterator[Replays]:  # noqa: ARG001 - it has only `enabled`
    """Record and replay while the host runs; the service is what replays."""
    replays = Replays(host)
    try:
        async with Recorder(host).running():
            yield replays
    finally:
        await replays.aclose()
