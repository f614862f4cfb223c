"""A stand-in for TouchDesigner: `op`, `run`, `me`, time, a WebSocket DAT on a real socket."""

import heapq
import json
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from time import monotonic
from types import ModuleType
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from plugins.show.touchdesigner import callbacks
from tests.patience import LIMIT_S

REST: dict[int, tuple[Any, ...]] = {3: (), 4: ("127.0.0.1:8000",), 5: (b"", "127.0.0.1:8000")}
"""What builds hand over to onReceiveText beside dat, rowIndex and message."""


class Parameters:
    """`par` of an operator: what is set is noted with its time."""

    def __init__(self, note: Callable[[str, Any], None]) -> None:
        self.__dict__["note"] = note

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        self.__dict__["note"](name, value)


class Pulse:
    """A parameter that is pulsed."""

    def __init__(self, note: Callable[[str, Any], None]) -> None:
        self._note = note

    def pulse(self) -> None:
        self._note("cuepulse", 1)


class Chop:
    """An Audio File In CHOP."""

    def __init__(self, note: Callable[[str, Any], None]) -> None:
        self.par = Parameters(note)
        self.par.__dict__["cuepulse"] = Pulse(note)


class TouchDesigner:
    """Runs the callbacks as generated; time passes only when it is told to.

    Parameters
    ----------
    port : int
        Where the real server is.
    arguments : int
        How many arguments this build hands to onReceiveText.
    lacking : tuple of str
        Operators that do not exist.
    """

    def __init__(self, port: int, *, arguments: int = 3, lacking: tuple[str, ...] = ()) -> None:
        self.port = port
        self.now_ms = 0.0
        self.log: list[tuple[float, str, str, Any]] = []
        self.said: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self.storage: dict[str, Any] = {}
        self.par = Parameters(self._parameter)
        self._rest = REST[arguments]
        self._lacking = lacking
        self._chops: dict[str, Chop] = {}
        self._due: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._numbers = count()
        self._connection = ExitStack()
        self._socket: ClientConnection | None = None
        self.module = ModuleType("callbacks")
        self.module.__dict__.update(
            op=self.op, run=self.run, me=self, debug=lambda *words: self.said.append(str(words))
        )
        text = callbacks("127.0.0.1", port, 5.0)
        exec(compile(text, "callbacks.py", "exec"), self.module.__dict__)  # as TouchDesigner does
        self.module.__dict__["time"] = self

    # --- what the callbacks find in TouchDesigner
    def op(self, name: str) -> Chop | None:
        if name in self._lacking:
            return None
        if name not in self._chops:

            def note(parameter: str, value: Any) -> None:
                self.log.append((self.now_ms, name, parameter, value))

            self._chops[name] = Chop(note)
        return self._chops[name]

    def run(self, script: str, *args: Any, delayMilliSeconds: float = 0) -> None:
        heapq.heappush(
            self._due, (self.now_ms + delayMilliSeconds, next(self._numbers), script, args)
        )

    def fetch(self, key: str, default: Any, *, search: bool = True) -> Any:
        return self.storage.get(key, default)

    def store(self, key: str, value: Any) -> None:
        self.storage[key] = value

    def unstore(self, key: str) -> None:
        self.storage.pop(key, None)

    def monotonic(self) -> float:
        return self.now_ms / 1000

    # --- the WebSocket DAT
    def sendText(self, text: str) -> None:  # noqa: N802 - TouchDesigner's name
        self.sent.append(json.loads(text))
        assert self._socket is not None
        self._socket.send(text)

    def _parameter(self, name: str, value: Any) -> None:
        if name == "active":
            (self._open if value else self.close)()

    def _open(self) -> None:
        address = f"ws://{self.par.netaddress.partition('/')[0]}:{self.par.port}"
        path = "/" + self.par.netaddress.partition("/")[2]
        try:
            self._socket = self._connection.enter_context(
                connect(address + path, proxy=None, open_timeout=LIMIT_S, close_timeout=0.1)
            )
        except OSError:
            return
        self.module.onConnect(self)

    def close(self) -> None:
        """Lose the connection, as by a pulled plug: the callbacks hear of it."""
        if self._socket is not None:
            self._connection.close()
            self._socket = None
            self.module.onDisconnect(self)

    # --- what a test does
    def start(self) -> None:
        """Open the project, and connect."""
        self.module.start(self)
        self.advance(self.module.RECONNECT_MS)

    def advance(self, milliseconds: float) -> None:
        """Let time pass; what is due in it is run at its time."""
        until = self.now_ms + milliseconds
        while self._due and self._due[0][0] <= until:
            self.now_ms, _, script, args = heapq.heappop(self._due)
            eval(script, {"args": args})
        self.now_ms = until

    def hear(self, text: str) -> None:
        """Hand a message to the callbacks."""
        self.module.onReceiveText(self, len(self.received), text, *self._rest)

    def hear_until(self, kind: str, times: int = 1) -> None:
        """Hand over what the server sends, up to and with a message of a type."""
        deadline = monotonic() + LIMIT_S
        while times:
            assert self._socket is not None, "not connected"
            assert monotonic() < deadline, f"{times} times {kind} did not come"
            text = str(self._socket.recv(LIMIT_S))
            self.received.append(json.loads(text))
            self.hear(text)
            times -= self.received[-1]["type"] == kind

    def lose(self) -> None:
        """Read until the server has gone, then notice it."""
        assert self._socket is not None
        try:
            while True:
                self._socket.recv(LIMIT_S)
        except ConnectionClosed:
            self.close()

    def waiting(self, name: str) -> int:
        """Return how many calls of a function are still to come."""
        return sum(f".{name}(" in script for _, _, script, _ in self._due)

    def files(self) -> list[str]:
        """Return every file that was loaded, in order."""
        return [value for _, _, parameter, value in self.log if parameter == "file"]

    def times(self, parameter: str, value: Any, *names: str) -> list[float]:
        """Return when a parameter of an operator was set to a value."""
        return [
            at for at, name, which, what in self.log if (which, what) == (parameter, value)
            and name in names
        ]  # fmt: skip
