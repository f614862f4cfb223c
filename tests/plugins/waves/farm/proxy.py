"""A TCP proxy that can be cut: bytes stay where they are, as with a cable that is pulled."""

import asyncio
import threading
from typing import Self

from tests.patience import LIMIT_S


class Proxy:
    """Passes bytes to and from a port of this machine while `open` is set."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))
        self.port = 0

    @property
    def url(self) -> str:
        """The address of a NATS server behind it."""
        return f"nats://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(LIMIT_S)

    def cut(self) -> None:
        """Pass nothing on; connections stay open, and new ones hear nothing."""
        self._loop.call_soon_threadsafe(self._open.clear)

    def mend(self) -> None:
        """Pass on what has come meanwhile, and what comes."""
        self._loop.call_soon_threadsafe(self._open.set)

    async def _run(self) -> None:
        self._loop, self._ended, self._open = (
            asyncio.get_running_loop(), asyncio.Event(), asyncio.Event(),
        )  # fmt: skip
        self._open.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._ended.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        ways = [(reader, there[1]), (there[0], writer)]
        passing = [asyncio.create_task(self._pass(*way)) for way in ways]
        try:
            await asyncio.wait(passing, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in passing:
                task.cancel()
            for one in (writer, there[1]):
                one.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            await self._open.wait()
            writer.write(data)
            await writer.drain()
