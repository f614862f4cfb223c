"""What an MQTT broker is told, by a real one."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter
from typing import Any

import pytest

from backend.plugins.status import PluginStatuses
from backend.signals import SLOW_RECEIVER_S, SessionStarted, emit, session_started, tts_written
from plugins.mqtt.plugin import ENTITIES, lifespan
from plugins.mqtt.settings import MqttSettings
from tests.backend.serving import READY
from tests.command import Running, free_port
from tests.patience import SOON_S
from tests.plugins.mqtt.broker import Broker, Listener, find_mosquitto
from tests.plugins.publishing import becomes, running
from tests.simulated import NOW, play, spoken

pytestmark = pytest.mark.e2e

STATE, STATUS = "rr/main/state", "rr/main/status"


def publishing(
    root: Path, url: str, **settings: Any
) -> AbstractAsyncContextManager[PluginStatuses]:
    """Run the plugin; yield how it says that it is."""
    return running("mqtt", lifespan, MqttSettings(enabled=True, url=url, **settings), root)


async def hears(listener: Listener, topic: str, *words: str) -> Any:
    """Wait for a message and return it, as JSON where it is that."""
    text = await asyncio.to_thread(listener.wait_for, topic, *words)
    return json.loads(text) if text[:1] == "{" else text


async def test_a_late_subscriber_gets_the_state_and_no_event(tmp_path: Path) -> None:
    """How many sessions run and waves were made, when the last began, how each plugin is."""
    with Broker(tmp_path) as broker:
        async with publishing(tmp_path, broker.url) as board:
            board.set("waves", "failed", "no compiler")
            with Listener(broker) as listener:
                play("s", tmp_path)
                emit(session_started, None, SessionStarted("t", (1,), NOW))
                await hears(listener, STATE, '"sessions_running": 1', '"waves_made": 18')
            with Listener(broker) as late:
                state = await hears(late, STATE, '"mqtt": "ok"')
                await hears(late, STATUS, "online")

    assert {"mqtt": "ok", "waves": "failed"} == state.pop("plugins")
    assert state.pop("last_session")
    assert {"sessions_running": 1, "waves_made": 18, "problem": "ON"} == state
    assert not any("/event/" in topic for topic in late.retained)


async def test_home_assistant_discovers_entities(tmp_path: Path) -> None:
    """Each has an id of its own, a value that the state has, and becomes unavailable with us."""
    with Broker(tmp_path) as broker:
        async with publishing(tmp_path, broker.url, installation="hall_2"):
            with Listener(broker) as listener:
                state = await hears(listener, "rr/hall_2/state")
                await hears(listener, "homeassistant/binary_sensor/rr_hall_2/problem/config")
    found = {t: json.loads(m) for t, m in listener.messages if t.startswith("homeassistant/")}

    assert ENTITIES.keys() == {topic.split("/")[3] for topic in found}
    assert len(ENTITIES) == len({entity["unique_id"] for entity in found.values()})
    for topic, entity in found.items():
        _, kind, device, key, last = topic.split("/")
        assert kind in {"sensor", "binary_sensor"}
        assert ("rr_hall_2", "config") == (device, last)
        assert f"{{{{ value_json.{key} }}}}" == entity["value_template"]
        assert key in state
        assert ("rr/hall_2/state", "rr/hall_2/status") == (
            entity["state_topic"],
            entity["availability_topic"],
        )
        assert {"identifiers": "rr_hall_2", "name": "rr_hall_2"} == entity["device"]


@pytest.mark.parametrize("texts", [False, True])
async def test_events_come_with_words_only_where_that_is_asked_for(
    texts: bool, tmp_path: Path
) -> None:
    """Every utterance, its waves, turns and the session's beginning and end, in their order."""
    with Broker(tmp_path) as broker:
        async with publishing(tmp_path, broker.url, texts=texts) as board:
            await becomes(board, "ok")
            with Listener(broker) as listener:
                await hears(listener, STATUS, "online")
                emit(session_started, None, SessionStarted("t", (1,), NOW, None, "Visitor words"))
                play("s", tmp_path)
                finished = await hears(listener, "rr/main/event/session_finished")

    events = [topic.rpartition("/")[2] for topic, _ in listener.messages if "/event/" in topic]
    everything = str(listener.messages)
    assert "s" == finished["session_id"]
    assert ["session_started", "session_started", "tts_written", "waves_written"] == events[:4]
    assert (6, 6, 3) == tuple(
        events.count(name) for name in ("tts_written", "waves_written", "turn_finished")
    )
    assert [texts, texts] == [words in everything for words in ("Water.", "Visitor words")]


async def test_a_replay_is_sent_and_not_counted(tmp_path: Path) -> None:
    """Lights can be made with yesterday's visitors; the figures stay those of today's."""
    with Broker(tmp_path) as broker:
        async with publishing(tmp_path, broker.url) as board:
            await becomes(board, "ok")
            with Listener(broker) as listener:
                await hears(listener, STATUS, "online")
                emit(session_started, None, SessionStarted("r", (1,), NOW, replayed_from="old"))
                emit(tts_written, None, spoken("r", 1, 1))
                await hears(listener, "rr/main/event/tts_written")
                emit(session_started, None, SessionStarted("s", (1,), NOW))
                state = await hears(listener, STATE, '"sessions_running": 1')

    assert 0 == state["waves_made"]


async def test_it_says_when_it_stops(tmp_path: Path) -> None:
    """An orderly stop is told too, and remains for who comes later."""
    with Broker(tmp_path) as broker:
        async with publishing(tmp_path, broker.url) as board:
            await becomes(board, "ok")
        with Listener(broker) as listener:
            await hears(listener, STATUS, "offline")


async def test_a_broker_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """The reason says where none answers; what happens meanwhile is counted in the state."""
    broker = Broker(tmp_path)
    async with publishing(tmp_path, broker.url) as board:
        await becomes(board, "degraded", f"no connection to {broker.url}")
        play("s", tmp_path)
        with broker:
            await becomes(board, "ok")
            with Listener(broker) as listener:
                await hears(listener, STATE, '"waves_made": 18')


async def test_all_is_told_again_to_a_broker_that_was_killed(tmp_path: Path) -> None:
    """It has forgotten everything; a subscriber notices no more than the gap."""
    with Broker(tmp_path) as broker:
        async with publishing(tmp_path, broker.url) as board:
            await becomes(board, "ok")
            with Listener(broker) as listener:
                await hears(listener, STATE, '"problem": "OFF"')
            before = listener.retained.keys()
            broker.kill()
            await becomes(board, "degraded")
            broker.start()
            await becomes(board, "ok")
            with Listener(broker) as listener:
                await hears(listener, STATE, '"problem": "OFF"')
                topics = {topic for topic, _ in listener.messages}

    assert before <= topics
    assert "online" == listener.last(STATUS)


@pytest.fixture
def passwords(tmp_path: Path) -> str:
    """Return the settings of a broker that knows one name and its password."""
    path = tmp_path / "passwords"
    path.touch(0o600)
    tool = Path(find_mosquitto()).parents[1] / "bin" / "mosquitto_passwd"
    subprocess.run([tool, "-b", path, "water", "deep"], check=True, capture_output=True)
    return f"allow_anonymous false\npassword_file {path}"


async def test_a_refusal_is_told(passwords: str, tmp_path: Path) -> None:
    """A wrong password is named as such; with the right one it is told what happens."""
    with Broker(tmp_path, passwords) as broker:
        async with publishing(tmp_path, broker.url, user="water", password="flat") as board:
            await becomes(board, "degraded", "Not authorized")
        async with publishing(tmp_path, broker.url, user="water", password="deep") as board:
            await becomes(board, "ok")


@pytest.mark.filterwarnings("ignore:.*ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
# paho-mqtt leaves the socket of a handshake that failed to the garbage collector
async def test_a_broker_over_tls_has_to_be_trusted(
    tmp_path: Path, project_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that the system does not know is refused; a variable names one that it does."""
    tls = project_root / "tests/data/tls"
    files = f"certfile {tls / 'certificate.pem'}\nkeyfile {tls / 'key.pem'}"
    with Broker(tmp_path, f"allow_anonymous true\n{files}") as broker:
        url = f"mqtts://localhost:{broker.port}"
        async with publishing(tmp_path, url) as board:
            await becomes(board, "degraded", "no connection to mqtts://")
        monkeypatch.setenv("SSL_CERT_FILE", str(tls / "certificate.pem"))
        async with publishing(tmp_path, url) as board:
            await becomes(board, "ok")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
async def test_a_broker_that_hangs_delays_nobody(tmp_path: Path) -> None:
    """Emitting stays as quick, and the plugin stops in time."""
    with Broker(tmp_path) as broker:
        async with publishing(tmp_path, broker.url) as board:
            await becomes(board, "ok")
            assert broker.process
            broker.process.send_signal(signal.SIGSTOP)
            times_s: list[float] = []
            for number in range(3000):
                began = perf_counter()
                emit(tts_written, None, replace(spoken("s", 1, 1), text=str(number)))
                times_s.append(perf_counter() - began)
                await asyncio.sleep(0)
            began = monotonic()
        stopped_s = monotonic() - began

    assert median(times_s) < SLOW_RECEIVER_S
    assert stopped_s < SOON_S


def test_the_last_will_of_a_server_that_is_killed(tmp_path: Path) -> None:
    """Nobody could say goodbye: the broker does."""
    port = free_port()
    with Broker(tmp_path) as broker, Listener(broker) as listener:
        env = {"RR_MQTT_ENABLED": "true", "RR_MQTT_URL": broker.url, "RR_WAVES_ENABLED": "false"}
        with Running("serve", "--port", str(port), cwd=tmp_path, env=env) as server:
            server.wait_for(READY)
            listener.wait_for(STATUS, "online")
            os.kill(server.pid, signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
            listener.wait_for(STATUS, "offline")
        with Listener(broker) as late:
            late.wait_for(STATUS, "offline")

    assert {"offline"} == {late.retained[STATUS]}
