"""The stream plugin: keeps the events of each session for later readers.

event_published -------------------------------> Journals --> GET /v1/sessions/{id}/events
signals --> SessionTracker --> SlotWavesPublisher --^
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from backend.plugins import Host
from backend.signals import event_published
from plugins.stream.journals import Journals
from plugins.stream.settings import StreamSettings


@asynccontextmanager
async def lifespan(host: Host, settings: StreamSettings) -> AsyncIterator[Journals]:
    """Keep the sessions' events while the host runs; the routes read them."""
    journals = Journals(settings.keep_sessions, close_at_done=not settings.waves)
    host.gauge("sessions", "Sessions whose events can be read.", lambda: len(journals))
    host.gauge("readers", "Clients that read a session's events.", lambda: journals.readers)
    with ExitStack() as stack:
        stack.callback(journals.close)
        stack.enter_context(event_published.connected_to(journals.receive))
        if settings.waves:
            # Here, not above: without this setting nothing of another plugin is imported.
            from plugins.stream.slot_waves import SlotWavesPublisher

            publisher = SlotWavesPublisher(host, journals, settings.waves_limit_s)
            stack.enter_context(publisher.tracker.running())
        yield journals
