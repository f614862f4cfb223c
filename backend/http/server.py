"""Run the web application under uvicorn, with a stop that has a time limit.

    signal        no new session; the deadline of the whole stop is set
    sessions      each is ended and still sends its `done`             at most 1.5 s
    connections   what is being sent is sent to its end                at most 1 s
    plugins       in reverse order, with one limit for all of them     at most 4.5 s
    deadline      the process exits, whatever has not stopped          7 s after the signal

uvicorn would wait for the streams before it ends the sessions that feed them, has no limit for the
lifespan, sends itself the signal again after a clean stop, and drops the lifespan at the second
Ctrl-C. The interpreter waits at its exit for threads of executors: hence the deadline.

Rejected: hypercorn and granian. Both end a connection that was answered before its body was read,
but neither ends one whose client does not read, or closes one when there are too many; granian has
no limit for a body or a WebSocket. Most of `backend.http.connections` would stay.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

import structlog
import uvicorn

from backend.config import Settings, server_context
from backend.errors import EXIT_FAILED
from backend.http import hearing
from backend.http.app import create_app
from backend.http.connections import WAITING_CONNECTIONS, Connections, Exchanges, listening
from backend.logs import flush
from backend.plugins import Discovered, PluginStatus, State
from backend.runtime import Hosting
from backend.storage import Artifacts, holding

log = structlog.get_logger(__name__)

GRACE_S = 1
"""Time for open connections once their sessions have ended."""
STOP_DEADLINE_S = 7.0
"""Service managers wait longer; F28 of the fault table allows 8 s."""
LAST_FLUSH_S = 0.3
"""Time to write the log then; the log itself may be what hangs."""
ACCEPTED_AT_ONCE = 1 if os.name == "posix" else WAITING_CONNECTIONS
"""asyncio's `backlog`. Without a free file descriptor its selector loop fails that often, and again
as often for each failure a second later: with more than one it is always busy (python/cpython issue
151615). asyncio also passes the number to listen(), so `startup` calls listen() again."""


class BoundedServer(uvicorn.Server):
    """End the sessions first, and the process after `STOP_DEADLINE_S` at the latest."""

    def __init__(
        self,
        config: uvicorn.Config,
        hosting: Hosting,
        connections: Connections,
        listening: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._tell_listening = listening
        self._hosting = hosting
        self._connections = connections

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals while the block runs, and do not send them again after it."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, with `WAITING_CONNECTIONS` that may wait."""
        await super().startup(sockets)
        for one in sockets or []:
            one.listen(WAITING_CONNECTIONS)
        log.info("listening", address=self._hosting.settings.base_url)
        self._tell_listening()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Begin the stop; a second signal changes nothing."""
        if not self.should_exit:
            deadline = threading.Timer(STOP_DEADLINE_S, _leave)
            deadline.daemon = True
            deadline.start()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, end the sessions, then do what uvicorn does."""
        for server in self.servers:
            server.close()
        await self._hosting.runner.aclose()
        self._connections.stop()
        await super().shutdown(sockets)


def run(
    settings: Settings,
    discovered: Iterable[Discovered],
    is_listening: Callable[[], None] = lambda: None,
) -> int:
    """Serve until a signal, call `is_listening` once; return the exit code of the process."""
    with (
        listening(settings.host, settings.port) as sockets,
        holding(Artifacts(settings.artifacts_dir), "reflective-resonance serve"),
    ):
        return _serve(settings, discovered, sockets, is_listening)


def _serve(
    settings: Settings,
    discovered: Iterable[Discovered],
    sockets: list[socket.socket],
    is_listening: Callable[[], None],
) -> int:
    app = create_app(settings, discovered)
    tls = None
    if settings.tls_certificate and settings.tls_key:
        tls = server_context(settings.tls_certificate, settings.tls_key)
    limits = {hearing.PATH: hearing.BODY_LIMIT_S}
    proxies = [str(one) for one in settings.trusted_proxies]
    connections = Connections(settings.request_limit_s, limits, tls=tls, trusted_proxies=proxies)
    config = uvicorn.Config(
        **connections.options(Exchanges(app)),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        backlog=ACCEPTED_AT_ONCE,
    )
    server = BoundedServer(config, app.state.hosting, connections, is_listening)
    app.state.hosting.board.watch = _StateLog()
    log.info("starting", address=settings.base_url, artifacts=str(settings.artifacts_dir))
    try:
        server.run(sockets)
    except SystemExit:
        log.error("server not started; see the lines before")
        return EXIT_FAILED
    log.info("stopped")
    return 0 if server.started else EXIT_FAILED


class _StateLog:
    """Log each change of a plugin's state, but not of its reason: the plugin logs that."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}

    def __call__(self, name: str, status: PluginStatus) -> None:
        """Log the state if it has changed."""
        if self._states.get(name) != status.state:
            self._states[name] = status.state
            log.info("plugin state", plugin=name, state=status.state, reason=status.reason)


def _leave() -> None:
    log.error("stop took too long; the process exits now", limit_s=STOP_DEADLINE_S)
    flush(LAST_FLUSH_S)
    os._exit(0)
