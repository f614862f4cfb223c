"""The MQTT plugin: retained state, and events, below `rr/<installation>/`.

Rejected: aiomqtt, which stands on paho-mqtt: the event loop of Windows lacks what it needs.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from backend.plugins import Host
from backend.signals import TEXTS, SessionFinished, SessionStarted
from backend.tracking import EventQueue, Sent, to_json
from plugins.mqtt.settings import SIGNALS, MqttSettings
from plugins.waves.signals import WavesWritten

ENTITIES: dict[str, tuple[str, dict[str, str]]] = {
    "sessions_running": ("sensor", {"name": "Sessions running", "state_class": "measurement"}),
    "last_session": ("sensor", {"name": "Last session", "device_class": "timestamp"}),
    "waves_made": ("sensor", {"name": "Waves made", "state_class": "total_increasing"}),
    "problem": ("binary_sensor", {"name": "Problem", "device_class": "problem"}),
}


class _Publisher:
    """Publishes events as they come, and each second what has changed of the rest."""

    def __init__(self, host: Host, settings: MqttSettings) -> None:
        self._host, self._settings, self._base = host, settings, f"rr/{settings.installation}"
        self._state: dict[str, Any] = {"last_session": None, "waves_made": 0}
        self._running, self._replays = set[str](), deque[str](maxlen=100)
        self._told, self._refusal = dict[str, str](), ""
        self.client = client = Client(CallbackAPIVersion.VERSION2)
        client.will_set(f"{self._base}/status", "offline", retain=True)
        client.username_pw_set(settings.user or None, settings.password.get_secret_value())
        client.max_queued_messages_set(1000)  # that are not confirmed
        client.reconnect_delay_set(min_delay=1, max_delay=30)
        client.on_connect = self._on_connect
        broker = urlsplit(settings.url)
        if is_secure := broker.scheme == "mqtts":
            client.tls_set()
        port = broker.port or (8883 if is_secure else 1883)
        client.connect_async(broker.hostname or "", port, keepalive=15)

    def _on_connect(self, *told: Any) -> None:
        self._told.clear()  # on the client's thread: all is told anew
        self._refusal = f" ({told[3]})" if told[3].is_failure else ""

    async def handle(self, sent: Sent) -> None:
        """Count an event, and publish it if a broker is there: later it would be of no use."""
        session_id = getattr(sent.event, "source", sent.event).session_id
        match sent.event:
            case SessionStarted(replayed_from=str()):
                self._replays.append(session_id)
            case SessionStarted():
                self._running.add(session_id)
                self._state["last_session"] = sent.at.isoformat()
            case SessionFinished():
                self._running.discard(session_id)
            case WavesWritten(sets=sets) if session_id not in self._replays:
                self._state["waves_made"] += sum(len(one.files) for one in sets if one.is_new)
        hidden = () if self._settings.texts else TEXTS
        body = to_json(sent.event, self._host.artifacts.root, hidden=hidden)
        if self.client.is_connected():
            self.client.publish(f"{self._base}/event/{sent.signal}", body, qos=1)

    async def keep_told(self) -> None:
        """Tell the host how the connection is, and the broker what has changed."""
        while True:
            url, connected = self._settings.url, self.client.is_connected()
            problem = "" if connected else f"no connection to {url}{self._refusal}"
            self._host.report("ok" if connected else "degraded", problem)
            for topic, message in self._retained().items() if connected else ():
                if self._told.get(topic) != message:
                    self._told[topic] = message
                    self.client.publish(topic, message, retain=True)
            await asyncio.sleep(1)

    def _retained(self) -> dict[str, str]:
        """Return what a late subscriber gets, by topic."""
        plugins = {name: status.state for name, status in self._host.board}
        problem = "OFF" if {"failed", "degraded"}.isdisjoint(plugins.values()) else "ON"
        state = {"sessions_running": len(self._running), "problem": problem, "plugins": plugins}
        base, device = self._base, self._base.replace("/", "_")
        told = {f"{base}/status": "online", f"{base}/state": json.dumps(self._state | state)}
        shared: dict[str, Any] = {"device": {"identifiers": device, "name": device}}
        shared |= {"state_topic": f"{base}/state", "availability_topic": f"{base}/status"}
        for key, (kind, entity) in ENTITIES.items():
            own = {"unique_id": f"{device}_{key}", "value_template": f"{{{{ value_json.{key} }}}}"}
            topic = f"{self._settings.discovery_prefix}/{kind}/{device}/{key}/config"
            told[topic] = json.dumps(shared | entity | own)
        return told


@asynccontextmanager
async def lifespan(host: Host, settings: MqttSettings) -> AsyncIterator[None]:
    """Publish what happens while the host runs."""
    publisher = _Publisher(host, settings)
    client, queue = publisher.client, EventQueue(publisher.handle, host.gauge)
    client.loop_start()
    keeping = asyncio.create_task(publisher.keep_told(), name="mqtt")
    try:
        async with queue.running():
            with queue.listening(SIGNALS):
                yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        client.publish(f"rr/{settings.installation}/status", "offline", retain=True)
        client.disconnect()
        ending = threading.Thread(target=client.loop_stop, daemon=True)  # it may wait for a name
        ending.start()
        await asyncio.to_thread(ending.join, timeout=3)
