"""`POST /v1/waves`: waves are made again; `GET /v1/water`: what they do to water."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile as sf

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered, Host, Plugin, PluginSettings, discover
from backend.storage import Artifacts
from plugins.waves import worker
from plugins.waves.files import paths
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written
from tests.live import LiveServer, chat
from tests.patience import until
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.speeches import speak

pytestmark = pytest.mark.e2e

Told = list[WavesWritten | WavesFailed]


@asynccontextmanager
async def _host(host: Host, _: PluginSettings) -> AsyncIterator[Host]:
    await asyncio.sleep(0)
    yield host


@pytest.fixture
def told() -> Iterator[Told]:
    """Collect the outcomes."""
    events: Told = []

    def receive(_: object, *, event: WavesWritten | WavesFailed) -> None:
        events.append(event)

    with waves_written.connected_to(receive), waves_failed.connected_to(receive):
        yield events


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """Return a server with the plugin, one worker and no place in its queue."""
    for name, value in (("MAX_WORKERS", 1), ("QUEUE_MAX_SIZE", 0), ("STOP_LIMIT_S", 0)):
        monkeypatch.setenv(f"RR_WAVES_{name}", str(value))
    monkeypatch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0")
    found = [item for item in discover() if item.name == "waves"]
    found.append(Discovered("host", Plugin("host", PluginSettings, _host)))
    with LiveServer(create_app(Settings(artifacts_dir=tmp_path, seed=1), found)) as live:
        yield live


def ask(server: LiveServer, audio_path: Any) -> httpx2.Response:
    """Ask for the waves of an utterance."""
    with server.client() as client:
        return client.post("/v1/waves", json={"audioPath": audio_path})


def test_waves_are_made_again(server: LiveServer, told: Told, tmp_path: Path) -> None:
    """The same three files are put in place anew, and the outcome is told as made for later."""
    (audio_path,) = [data["audioPath"] for name, data in chat(server, 1) if name == "slot.audio"]
    until(lambda: len(told) == 1, "the waves are there")
    targets = paths.session_targets(tmp_path / audio_path, tmp_path)
    before = [(target.stat().st_ino, target.read_bytes()) for target in targets]
    targets[2].unlink()

    answer = ask(server, audio_path)

    assert (202, {"audioPath": audio_path}) == (answer.status_code, answer.json())
    until(lambda: len(told) == 2, "the waves are made again")
    first, again = told
    assert isinstance(again, WavesWritten)
    assert (True, first.source.audio_path) == (again.backfill, again.source.audio_path)
    after = [(target.stat().st_ino, target.read_bytes()) for target in targets]
    assert [content for _, content in before] == [content for _, content in after]
    assert {inode for inode, _ in before}.isdisjoint(inode for inode, _ in after[:2])


def test_a_full_queue_is_told_and_nothing_else(
    server: LiveServer, told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 says to come again; who asks twice for one that waits or runs is not refused."""
    monkeypatch.setattr(worker, "decompose", jobs.decompose)
    artifacts = Artifacts(tmp_path)
    first, second = (artifacts.relative(speak(artifacts, f"sleep-60-{n}")) for n in (1, 2))

    answers = [ask(server, path) for path in (first, first, second)]

    assert [202, 202, 503] == [answer.status_code for answer in answers]
    assert answers[2].headers["retry-after"]
    assert [] == told


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tts/sessions/session-1/turn_1/none.wav",
        "tts/sessions/session-1/turn_1/../turn_1/slot-1_gpt_calm.wav",
        "/etc/passwd",
        "waves/sessions/session-1/turn_1/slot-1_gpt_calm.wav",
        "tts/loose.wav",
        "tts/sessions/session-1/turn_1/nul\x00.wav",
    ],
)
def test_what_is_no_speech_is_404(server: LiveServer, tmp_path: Path, path: str) -> None:
    """Only speech of a session that is there has waves; the answer repeats nothing."""
    artifacts = Artifacts(tmp_path)
    speech = speak(artifacts, "slot-1_gpt_calm")
    (tmp_path / "tts/loose.wav").write_bytes(speech.read_bytes())
    wave = artifacts.turn("waves", "session-1", 1) / speech.name
    wave.parent.mkdir(parents=True)
    wave.write_bytes(speech.read_bytes())

    answer = ask(server, path)

    assert 404 == answer.status_code
    assert str(tmp_path) not in answer.text


def test_a_session_that_is_being_removed_is_404(server: LiveServer, tmp_path: Path) -> None:
    """Its files are about to go; nothing is made for it."""
    artifacts = Artifacts(tmp_path)
    path = artifacts.relative(speak(artifacts, "slot-1_gpt_calm"))

    host: Host = server.app.state.hosting.board.service("host")
    with host.leases.removing("session-1") as free:
        assert free
        assert 404 == ask(server, path).status_code


@pytest.mark.parametrize("path", [None, 7, "a" * 1001])
def test_a_wrong_request_is_refused(server: LiveServer, path: Any) -> None:
    """422 names the field."""
    answer = ask(server, path)

    assert (422, "audioPath") == (answer.status_code, answer.json()["errors"][0]["field"])


def ask_water(server: LiveServer, path: str) -> httpx2.Response:
    """Ask what a wave does to water."""
    with server.client() as client:
        return client.get(f"/v1/water/{path}")


def test_the_water_of_a_wave_is_computed_once(server: LiveServer, tmp_path: Path) -> None:
    """The first answer is kept until the file changes; speech, and what is not there, is 404."""
    artifacts = Artifacts(tmp_path)
    file = artifacts.turn("waves", "session-1", 1) / "slot-1_gpt_calm_faraday_wave1.wav"
    speech = artifacts.relative(speak(artifacts, "slot-1_gpt_calm"))
    path = artifacts.relative(file)
    missing = ask_water(server, path)
    file.parent.mkdir(parents=True)
    sf.write(file, 0.9 * np.sin(2 * np.pi * 22 * np.arange(16_000) / 8000), 8000)
    until(lambda: ask_water(server, path).is_success, "a worker is ready and has computed it")
    first = ask_water(server, path)
    status = file.stat()
    file.write_bytes(b"x" * status.st_size)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    again = ask_water(server, path)
    file.touch()
    broken = ask_water(server, path)

    assert (200, 200) == (first.status_code, again.status_code), first.text
    assert "immutable" in first.headers["cache-control"]
    assert first.content == again.content
    assert 11 == pytest.approx(first.json()["carrierHz"], abs=0.5)
    assert [404, 404] == [missing.status_code, ask_water(server, speech).status_code]
    assert (503, "10") == (broken.status_code, broken.headers["retry-after"])


def test_the_water_waits_for_waves(
    server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the queue has no place it is refused at once, and no worker is asked."""
    artifacts = Artifacts(tmp_path)
    monkeypatch.setattr(worker, "decompose", jobs.decompose)
    file = artifacts.turn("waves", "session-1", 1) / "slot-1_gpt_calm_faraday_wave1.wav"
    file.parent.mkdir(parents=True)
    sf.write(file, np.zeros(800), 8000)
    assert 202 == ask(server, artifacts.relative(speak(artifacts, "sleep-60"))).status_code

    answer = ask_water(server, artifacts.relative(file))

    assert (503, "10") == (answer.status_code, answer.headers["retry-after"])
