"""Programs of others that tests run: found, or the test is skipped; servers, also killed."""

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from tests.command import free_port
from tests.patience import LIMIT_S, until


def find_program(name: str, variable: str, usual: Path) -> str:
    """Return the path of a program; skip the test where there is none.

    Where the variable is set, as in CI, the test fails without it.
    """
    asked = os.environ.get(variable, "")
    found = asked or (str(usual) if usual.exists() else shutil.which(usual.name))
    if found and Path(found).exists():
        return found
    message = f"no {name} at {asked or usual}: install it, or set {variable} to its path"
    if asked:
        pytest.fail(message)
    pytest.skip(message)


class ServerProcess:
    """A server on a free port of loopback, which can be killed and started again.

    `greeting` is how it begins to speak, nothing if it does not.
    """

    def __init__(self, greeting: bytes = b"") -> None:
        self.port = free_port()
        self.command: Sequence[str | Path] = ()
        self.process: subprocess.Popen[bytes] | None = None
        self._greeting = greeting

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        null = subprocess.DEVNULL
        self.process = subprocess.Popen(self.command, stdout=null, stderr=null)
        until(self._listens, "a server that listens")

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(LIMIT_S)
            self.process = None

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as connection:
            return connection.recv(len(self._greeting)) == self._greeting
        return False
