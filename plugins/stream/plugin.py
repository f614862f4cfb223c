"""The stream plugin: keeps the events of each session for later readers.

event_published -------------------------------> SessionLogs --> GET /v1/sessions/{id}/events
signals --> SessionTracker --> SlotWavesPublisher ---^
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from backend.plugins import Host
from backend.signals import event_published
from plugins.stream.session_logs import SessionLogs
from plugins.stream.settings import StreamSettings


@asynccontextmanager
async def lifespan(host: Host, settings: StreamSettings) -> AsyncIterator[SessionLogs]:
    """Keep the sessions' events while the host runs; the routes read them."""
    logs = SessionLogs(settings.keep_sessions, close_at_done=not settings.waves)
    host.gauge("sessions", "Sessions whose events can be read.", lambda: len(logs))
    host.gauge("readers", "Clients that read a session's events.", lambda: logs.readers)
    with ExitStack() as stack:
        stack.callback(logs.close_all)
        stack.enter_context(event_published.connected_to(logs.receive))
        if settings.waves:
            # Here, not above: without this setting nothing of another plugin is imported.
            from plugins.stream.slot_waves import SlotWavesPublisher

            publisher = SlotWavesPublisher(host, logs, settings.waves_limit_s)
            stack.enter_context(publisher.tracker.running())
        yield logs
