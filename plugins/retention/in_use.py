"""Holds a lease for each session from its start until work on its last utterance has ended.

It has no `EventQueue`: taking a lease is quick, and has to be done before the receiver returns.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from backend.plugins import Host
from backend.tracking import SessionExpected, SessionOver, SessionTracker, TrackedEvent
from plugins.waves.signals import outcomes

WAVES = "waves"


@contextmanager
def sessions_held(host: Host) -> Iterator[None]:
    """Hold the sessions that are in use while the block runs."""
    leases: dict[str, ExitStack] = {}

    def tell(event: TrackedEvent) -> None:
        if isinstance(event, SessionExpected):
            leases[event.session_id] = lease = ExitStack()
            lease.enter_context(host.leases.held(event.session_id))
        elif isinstance(event, SessionOver):
            leases.pop(event.session_id, ExitStack()).close()

    tracker = SessionTracker(outcomes, tell, available=lambda: host.board.runs(WAVES))
    try:
        with tracker.running():
            yield
    finally:
        for lease in leases.values():
            lease.close()
