"""The command line for tests: as a child process, to its end or for as long as it is needed."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Self

import psutil
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from backend.cli import app, group, main
from tests.patience import LIMIT_S

COMMAND = (sys.executable, "-m", "backend")


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """Return the test's own environment with `extra`; wide, so that no table wraps."""
    return {**os.environ, "TERM": "xterm", "COLUMNS": "1000", "LINES": "50", **extra}


def run(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `reflective-resonance` with `arguments` to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(env or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        check=False,
    )


def invoke(*arguments: str, **env: str) -> Result:
    """Run `reflective-resonance` with `arguments` here; the log is left to the other tests."""
    with pytest.MonkeyPatch.context() as patch, capture_logs():
        for module in (group, main):
            patch.setattr(module, "configure_logging", lambda *_, **__: None)
        return CliRunner().invoke(
            app, arguments, env={"COLUMNS": "1000", **env}, catch_exceptions=False
        )


_PORTS = count(20_000 + 97 * os.getpid() % 12_000)
"""Below those that the system gives to anybody; test processes begin far from each other."""


def free_port() -> int:
    """Return a port nobody listens on, and that nobody else is given before it is used."""
    for port in _PORTS:
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError


class Running:
    """A command that runs until it is told to stop; `log` is what it has said on stderr."""

    def __init__(self, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self.log: list[str] = []
        self._heard = threading.Condition()
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=cwd,
            env=environment(env or {}),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self._process.stderr is not None
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr,))
        self._listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(LIMIT_S)
        self._listener.join(LIMIT_S)
        if self._process.stderr is not None:
            self._process.stderr.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def children(self) -> list[psutil.Process]:
        """The processes it has started, and theirs."""
        return psutil.Process(self._process.pid).children(recursive=True)

    def wait_for(self, words: str) -> None:
        """Wait until a line with `words` has been said."""
        with self._heard:
            heard = self._heard.wait_for(
                lambda: any(words in line for line in self.log) or self._process.poll() is not None,
                LIMIT_S,
            )
        assert heard, f"nothing about {words!r} was said"
        assert any(words in line for line in self.log), "".join(self.log)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal; return the exit code once everything has been said."""
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait until it ends by itself; return the exit code once everything has been said."""
        code = self._process.wait(LIMIT_S)
        self._listener.join(LIMIT_S)
        return code

    def _listen(self, stream: IO[str]) -> None:
        for line in stream:
            with self._heard:
                self.log.append(line)
                self._heard.notify_all()
        with self._heard:
            self._heard.notify_all()
