"""Holds every session from its start until work on its last utterance has ended."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from backend.plugins import Host
from backend.signals import TtsWritten
from backend.tracking import Settling
from plugins.waves.signals import outcomes

WAVES = "waves"
OUTCOME_LIMIT_S = 3600.0
"""After that the voices of a session may go although some of its waves are still due."""


class InUse(Settling):
    """Leases for the sessions that run, or whose waves are being made."""

    def __init__(self, host: Host, limit_s: float = OUTCOME_LIMIT_S) -> None:
        super().__init__(outcomes, lambda: host.board.runs(WAVES), limit_s)
        self._leases = host.leases
        self._holding: dict[str, ExitStack] = {}

    @contextmanager
    def following(self) -> Iterator[None]:
        """Hold sessions while the block runs."""
        try:
            with super().following():
                yield
        finally:
            for session_id in list(self._holding):
                self.settled(session_id, ())

    def started(self, session_id: str) -> None:
        """Hold a session."""
        stack = self._holding[session_id] = ExitStack()
        stack.enter_context(self._leases.held(session_id))

    def settled(self, session_id: str, missing: tuple[TtsWritten, ...]) -> None:  # noqa: ARG002 - the signature
        """Let go of a session."""
        self._holding.pop(session_id).close()
