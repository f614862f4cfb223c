"""Clients of `/v1/events` for tests, and servers for them."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

from backend.config import Settings
from backend.http.app import create_app
from backend.http.connections import Connections
from backend.plugins import Discovered, Host, Plugin, PluginSettings, discover
from plugins.show.hub import Hub
from tests.live import Data, LiveServer
from tests.patience import LIMIT_S

CONTROL = {"heartbeat", "hello.ack", "hello.refused", "replay.gap"}
END = "session.waves.ready"


class Listener:
    """A real client; says hello at once, with `cursor` if it has one, unless it is `silent`.

    One that is `stalled` reads its first answer and then only what it is made to.
    """

    def __init__(
        self,
        server: LiveServer,
        cursor: int | None = None,
        *,
        silent: bool = False,
        stalled: bool = False,
        dialect: str = "",
        **options: Any,
    ) -> None:
        self.ack: Data = {}
        self._leave = ExitStack()
        if stalled:
            options |= {"sock": _narrow(server.port), "close_timeout": 0.1}
        asked = f"?dialect={dialect}" if dialect else ""
        connection = connect(
            f"ws://127.0.0.1:{server.port}/v1/events{asked}",
            open_timeout=LIMIT_S,
            max_size=None,
            proxy=None,
            **options,
        )
        self._socket: ClientConnection = self._leave.enter_context(connection)
        if not silent:
            self.say(json.dumps({"type": "hello", "cursor": cursor}))
            self.ack = self.wait_for("hello.ack")[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._leave.close()

    @property
    def socket(self) -> ClientConnection:
        """The connection itself."""
        return self._socket

    def say(self, text: str | bytes) -> None:
        """Send a frame."""
        self._socket.send(text)

    def next(self) -> Data:
        """Return the next message."""
        message: Data = json.loads(self._socket.recv(LIMIT_S))
        return message

    def wait_for(self, wanted: str) -> list[Data]:
        """Return what comes up to and with the first message of a type."""
        messages = [self.next()]
        deadline = monotonic() + LIMIT_S
        while messages[-1]["type"] != wanted:
            assert monotonic() < deadline, f"no {wanted} among {len(messages)} messages"
            messages.append(self.next())
        return messages

    def events(self, wanted: str = END) -> list[Data]:
        """Return the events of sessions up to and with the first of a type."""
        return of_sessions(self.wait_for(wanted))

    def take(self, count: int) -> list[Data]:
        """Return the next `count` events of sessions."""
        events: list[Data] = []
        deadline = monotonic() + LIMIT_S
        while len(events) < count:
            assert monotonic() < deadline, f"{len(events)} of {count} events came"
            events += of_sessions([self.next()])
        return events


def of_sessions(messages: list[Data]) -> list[Data]:
    """Return the messages that are numbered events."""
    return [message for message in messages if message["type"] not in CONTROL]


def in_short(message: Data) -> str:
    """Return the type of an event and what it is about."""
    payload = message["payload"]
    about = {
        "turn.waves.ready": ["turnIndex", "status"],
        "dialogue.waves.ready": ["slotId", "status"],
        "session.waves.ready": ["status"],
        "utterance.waves.ready": ["turnIndex", "slotId"],
        "utterance.waves.failed": ["turnIndex", "slotId", "reason"],
    }.get(message["type"], [])
    name = message["type"].removesuffix(".waves.ready").removesuffix(".waves.failed")
    return " ".join([name, *(str(payload[key]) for key in about)])


def _narrow(port: int) -> socket.socket:
    """Return a connected socket that buffers as little as it can."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    one.settimeout(LIMIT_S)
    one.connect(("127.0.0.1", port))
    return one


def hub_of(server: LiveServer) -> Hub:
    """Return the service of a running show."""
    hub = server.app.state.hosting.board.service("show")
    assert isinstance(hub, Hub)
    return hub


def on_loop(server: LiveServer, call: Callable[[], Any]) -> Any:
    """Call something on the server's loop, where signals are sent, and return its result."""

    async def run() -> Any:
        return call()

    return server.run(run())


@asynccontextmanager
async def _nothing(host: Host, settings: PluginSettings) -> AsyncIterator[None]:
    await asyncio.sleep(0)
    yield


STAND_IN = Discovered("waves", Plugin("waves", PluginSettings, _nothing, order=10))
"""For tests that send the signals of the waves plugin themselves."""


def found(*names: str) -> list[Discovered]:
    """Return the installed plugins of these names."""
    return [item for item in discover() if item.name in names]


def simulating(
    root: Path,
    plugins: list[Discovered] | None = None,
    *,
    connections: Connections | None = None,
    **settings: Any,
) -> LiveServer:
    """Return a server on whose bus the test plays sessions."""
    chosen = [STAND_IN, *found("show")] if plugins is None else plugins
    return LiveServer(create_app(Settings(artifacts_dir=root, **settings), chosen), connections)
