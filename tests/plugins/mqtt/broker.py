"""Mosquitto on loopback, and a client that hears everything it has."""

from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.patience import until
from tests.programs import ServerProcess, find_program


def find_mosquitto() -> str:
    """Return the path of mosquitto; skip the test where there is none."""
    return find_program("mosquitto", "RR_TEST_MOSQUITTO", Path("/usr/sbin/mosquitto"))


class Broker(ServerProcess):
    """A broker; it forgets everything when it is killed."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true") -> None:
        super().__init__()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        config = folder / "mosquitto.conf"
        self.command = (find_mosquitto(), "-c", config)
        lines = (f"listener {self.port} 127.0.0.1", "user root", "persistence false", settings)
        config.write_text("\n".join((*lines, "")), "utf-8")


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
