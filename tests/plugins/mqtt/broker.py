"""Mosquitto on loopback, and a client that hears everything it has."""

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.command import free_port
from tests.patience import LIMIT_S, until

ASKED = os.environ.get("RR_TEST_MOSQUITTO", "")
"""Where this is set, as in CI, a test fails without a broker; elsewhere it is skipped."""
USUAL = Path("/usr/sbin/mosquitto")


def find_mosquitto() -> str:
    """Return the path of mosquitto; skip the test where there is none."""
    found = ASKED or (str(USUAL) if USUAL.exists() else shutil.which("mosquitto"))
    if found and Path(found).exists():
        return found
    message = f"no broker at {ASKED or USUAL}: install mosquitto, or set RR_TEST_MOSQUITTO"
    if ASKED:
        pytest.fail(message)
    pytest.skip(message)


class Broker:
    """A broker that can be killed and started again; it forgets everything then."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        self._path = find_mosquitto()
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = folder / "mosquitto.conf"
        lines = (f"listener {self.port} 127.0.0.1", "user root", "persistence false", settings)
        self._config.write_text("\n".join((*lines, "")), "utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = subprocess.Popen(
            [self._path, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._listens, "a broker that listens")

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(LIMIT_S)
            self.process = None

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the broker has ended"
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
            return True
        return False


class Listener:
    """A client that subscribes to everything; `retained` is what was there before it."""

    def __init__(self, broker: Broker, user: str | None = None, password: str = "") -> None:
        self.messages: list[tuple[str, str]] = []
        self.retained: dict[str, str] = {}
        self._client = client = Client(CallbackAPIVersion.VERSION2)
        client.username_pw_set(user, password)
        client.on_message = self._hear
        client.on_connect = self._subscribe
        client.connect("127.0.0.1", broker.port)

    def __enter__(self) -> Self:
        self._client.loop_start()
        until(self._client.is_connected, "a listener that is connected")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def last(self, topic: str) -> str:
        """Return the last message of a topic, empty without one."""
        return next((text for one, text in reversed(self.messages) if one == topic), "")

    def wait_for(self, topic: str, *words: str) -> str:
        """Wait until the last message of a topic has all these words, and return it."""
        until(
            lambda: bool(self.last(topic)) and all(word in self.last(topic) for word in words),
            f"{words} in {topic}, whose last is {self.last(topic)!r}",
        )
        return self.last(topic)

    def _subscribe(self, *_: Any) -> None:
        self._client.subscribe("#", qos=1)

    def _hear(self, _: Client, __: Any, message: MQTTMessage) -> None:
        self.messages.append((message.topic, message.payload.decode()))
        if message.retain:
            self.retained[message.topic] = message.payload.decode()
