"""Run sessions as tasks: a session goes on when its client disconnects."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars

from backend.agents import Slot
from backend.errors import ReflectiveResonanceError
from backend.sessions import SessionStream
from backend.storage import new_session_id
from backend.workflow import Workflow

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 0.75
"""Time for a session to write its manifest at a stop; after it, as long again to end."""


class TooManySessionsError(ReflectiveResonanceError):
    """The limit of running sessions is reached."""


class SessionRunner:
    """Start sessions as tasks, `max_sessions` at once, and end them when the host stops."""

    def __init__(self, workflow: Workflow, max_sessions: int) -> None:
        self._workflow = workflow
        self._max_sessions = max_sessions
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self,
        message: str,
        slots: Sequence[Slot],
        heard_id: str | None = None,
        *,
        keep_message: bool = False,
    ) -> SessionStream:
        """Start a session and return its stream, or raise TooManySessionsError.

        `heard_id` is the id of the recording in which `message` was said. With `keep_message`,
        never for a visitor's, it stands in the manifest.
        """
        if len(self._tasks) >= self._max_sessions:
            raise TooManySessionsError(
                f"{len(self._tasks)} sessions are running; try again when one has ended"
            )
        stream = SessionStream(new_session_id())
        task = asyncio.create_task(
            self._run(stream, message, slots, heard_id=heard_id, keep_message=keep_message),
            name=f"session {stream.session_id}",
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return stream

    async def aclose(self) -> None:
        """End the running sessions within twice `STOP_LIMIT_S`; each still sends its `done`.

        The first cancellation ends the turns; the session then saves its manifest on a speech
        thread. If engines that hang occupy all of these, the second one ends that too.
        """
        for _ in range(2):
            tasks = list(self._tasks)
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=STOP_LIMIT_S)
        if self._tasks:
            log.error("sessions did not end", sessions=len(self._tasks))

    async def _run(
        self, stream: SessionStream, message: str, slots: Sequence[Slot], **options: Any
    ) -> None:
        bind_contextvars(session_id=stream.session_id)  # for each line that the session logs
        log.info("session started", session_id=stream.session_id, slots=len(slots))
        try:
            await self._workflow.run(stream.session_id, message, slots, stream.publish, **options)
            log.info("session finished", session_id=stream.session_id)
        except asyncio.CancelledError:
            log.warning("session interrupted: the host stops", session_id=stream.session_id)
            raise
        except Exception:
            log.exception("session failed", session_id=stream.session_id)
        finally:
            stream.close()
