"""The host without a web server: it runs sessions, and ends them and the plugins in order."""

import asyncio
import io
import json
import sys
import threading
import wave
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic

import psutil
import pytest
from pydantic_settings import SettingsConfigDict
from structlog.testing import capture_logs

from backend.agents import Agents, Slot
from backend.config import Settings
from backend.errors import SpeechError
from backend.plugins import Discovered, Host, Plugin, PluginSettings
from backend.runner import SessionRunner
from backend.runtime import Hosting
from backend.sessions import Done, Event, Manifest, save
from backend.signals import SessionFinished, TtsWritten, session_finished, tts_written
from backend.speech.children import EmbeddedEngine
from backend.storage import Artifacts
from backend.workflow import Workflow
from tests import scheduling as timeslice
from tests.patience import LIMIT_S, SOON_S, until

SLOTS = (Slot(1, "gpt-4o"), Slot(2, "gemini-3"))


class TidesSettings(PluginSettings):
    """Settings of a plugin with a prefix of its own."""

    model_config = SettingsConfigDict(env_prefix="RR_TIDES_")


def tides(journal: list[str]) -> Discovered:
    """Return a plugin that writes down when it starts, stops and hears a session end."""

    def on_finished(_: object, *, event: SessionFinished) -> None:
        journal.append("session finished")

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        journal.append("start")
        with session_finished.connected_to(on_finished):
            yield
        journal.append("stop")

    return Discovered("tides", Plugin("tides", TidesSettings, lifespan))


async def test_a_session_runs_without_a_server(tmp_path: Path) -> None:
    """Events and signals tell the same: each slot.audio has its tts_written with that WAV."""
    hosting = Hosting(Settings(artifacts_dir=tmp_path, seed=1), [])
    written: list[TtsWritten] = []

    def on_written(_: object, *, event: TtsWritten) -> None:
        assert event.wav_path.stat().st_size > 44
        written.append(event)

    with tts_written.connected_to(on_written):
        async with hosting.running():
            stream = hosting.runner.start("Rain", SLOTS)
            events = [event async for _, event in stream.read()]

    heard = [event.data() for event in events if event.name == "slot.audio"]
    assert [json.loads(data)["audioPath"] for data in heard] == [e.audio_path for e in written]
    assert [tmp_path / event.audio_path for event in written] == [e.wav_path for e in written]
    assert all((event.target_slot_id is None) == (event.turn_index != 2) for event in written)


async def test_only_the_event_loop_takes_short_time_slices(tmp_path: Path) -> None:
    """Its threads and children keep ordinary ones, and so does the thread itself afterwards."""
    ordinary = timeslice.of_this_thread()

    async with Hosting(Settings(artifacts_dir=tmp_path), []).running():
        assert timeslice.of_this_thread() == timeslice.shortest_granted()
        assert await asyncio.to_thread(timeslice.of_this_thread) == ordinary

    assert timeslice.of_this_thread() == ordinary


async def test_the_agents_are_warmed_up_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start lets them get ready on a thread, and does not wait for it."""
    release, warmed = threading.Event(), threading.Event()

    def warm_up(_: Agents) -> None:
        release.wait(LIMIT_S)
        warmed.set()

    monkeypatch.setattr(Agents, "warm_up", warm_up)
    async with Hosting(Settings(artifacts_dir=tmp_path), []).running():
        assert not warmed.is_set()
        release.set()
        assert await asyncio.to_thread(warmed.wait, LIMIT_S)


async def test_a_start_tells_dead_sessions_from_its_own(tmp_path: Path) -> None:
    """A session of a dead process is marked as interrupted, one that starts meanwhile is not."""
    dead = Manifest("20261122T000000Z-00000000", {}, "now")
    save(dead, Artifacts(tmp_path))
    hosting = Hosting(Settings(artifacts_dir=tmp_path, seed=1), [])

    def status_of(session_id: str) -> str:
        manifest = tmp_path / "tts/sessions" / session_id / "session.json"
        return str(json.loads(manifest.read_bytes())["status"])

    async with hosting.running():
        stream = hosting.runner.start("Rain", SLOTS)
        async for _, event in stream.read():
            if event.name == "turn.done":
                break
        await asyncio.to_thread(
            until, lambda: status_of(dead.session_id) == "interrupted", "it is marked"
        )
        own = status_of(stream.session_id)
        async for _, _event in stream.read():
            pass

    assert own in {"running", "finished"}
    assert "finished" == status_of(stream.session_id)


async def test_leaving_ends_the_sessions_then_the_plugins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that is running at the end still says done; the plugins hear of it, then stop."""
    monkeypatch.setattr("backend.runner.STOP_LIMIT_S", LIMIT_S)  # for a manifest on a busy disk
    journal: list[str] = []
    events: list[Event] = []
    hosting = Hosting(Settings(artifacts_dir=tmp_path, seed=1), [tides(journal)])

    async with hosting.running():
        stream = hosting.runner.start("Rain", SLOTS)
        async for _, event in stream.read():
            events.append(event)
            if event.name == "slot.done":
                break
    events = [event async for _, event in stream.read()]

    last = events[-1]
    assert isinstance(last, Done)
    assert (0, 1) == (last.completed_slots, sum(isinstance(event, Done) for event in events))
    assert ["start", "session finished", "stop"] == journal
    (manifest,) = (tmp_path / "tts/sessions").glob("*/session.json")
    assert "interrupted" == json.loads(manifest.read_bytes())["status"]


async def test_what_is_written_at_the_end_is_whole(tmp_path: Path) -> None:
    """Ended in the middle of speech, no temporary file and no part of a WAV stays behind."""
    hosting = Hosting(Settings(artifacts_dir=tmp_path, seed=1), [])

    with ExitStack() as stack:
        finished: list[Path] = []

        def on_written(_: object, *, event: TtsWritten) -> None:
            finished.append(event.wav_path)

        stack.enter_context(tts_written.connected_to(on_written))
        async with hosting.running():
            stream = hosting.runner.start("Rain", SLOTS)
            async for _, event in stream.read():
                if event.name == "slot.audio":
                    break

    assert all(path.read_bytes().startswith(b"RIFF") for path in finished)


async def test_a_hanging_voice_does_not_hold_up_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every speaker's voice hanging the host stops in a moment and leaves no child."""
    hang = "print(flush=True); import time; time.sleep(600)"
    hosting = Hosting(Settings(artifacts_dir=tmp_path, seed=1), [])
    hosting.runner = SessionRunner(
        Workflow(
            hosting.agents,
            silent := EmbeddedEngine(
                temporary=hosting.artifacts.temporary,
                timeout_s=600,
                command=(sys.executable, "-I", "-S", "-c", hang),
            ),
            hosting.artifacts,
            hosting._threads,  # the host's own threads are what would be held up
            seed=1,
        ),
        max_sessions=1,
    )
    hosting.speech = silent
    before = set(psutil.Process().children())

    async with hosting.running():
        stream = hosting.runner.start("Rain", [Slot(n, "gpt-4o") for n in range(1, 7)])
        await asyncio.to_thread(
            until, lambda: len(set(psutil.Process().children()) - before) >= 6, "six voices hang"
        )
        started = monotonic()
    took_s = monotonic() - started

    events = [event async for _, event in stream.read()]
    assert isinstance(events[-1], Done)
    assert took_s < SOON_S
    _, alive = psutil.wait_procs(set(psutil.Process().children()) - before, SOON_S)
    assert [] == alive


async def test_closing_the_voices_does_not_block_the_event_loop(tmp_path: Path) -> None:
    """An engine that waits for a thread of its own at its close waits on a thread."""
    hosting = Hosting(Settings(artifacts_dir=tmp_path), [])
    loop, moved, went_on = asyncio.get_running_loop(), threading.Event(), []

    class SlowToClose(EmbeddedEngine):
        def close(self) -> None:
            loop.call_soon_threadsafe(moved.set)
            went_on.append(moved.wait(SOON_S))

    hosting.speech = SlowToClose(temporary=tmp_path)

    async with hosting.running():
        pass

    assert [True] == went_on


async def test_a_plugin_speaks_with_the_voice_of_the_server(tmp_path: Path) -> None:
    """It gets a WAV of which no file is kept; once the voice is closed, an error in words."""
    hosts: list[Host] = []

    @asynccontextmanager
    async def lifespan(host: Host, _: PluginSettings) -> AsyncIterator[None]:
        hosts.append(host)
        yield

    plugin = Discovered("tides", Plugin("tides", TidesSettings, lifespan))
    hosting = Hosting(Settings(artifacts_dir=tmp_path), [plugin])
    async with hosting.running():
        wav = await hosts[0].speak("4")
        assert [] == await asyncio.to_thread(lambda: list(tmp_path.rglob("*.wav")))

    with wave.open(io.BytesIO(wav)) as sound:
        assert 0.1 < sound.getnframes() / sound.getframerate() < 3
    with pytest.raises(SpeechError, match="stopped"):
        await hosts[0].speak("4")


async def test_a_host_without_a_voice_says_so(tmp_path: Path) -> None:
    """As a plugin gets it in a test or by a command."""
    with pytest.raises(SpeechError, match="there is no voice here"):
        await Host(Artifacts(tmp_path), lambda *_: None).speak("4")


def test_a_disabled_plugin_is_not_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Switched off in its settings, a plugin is on the board as disabled and is not chosen."""
    monkeypatch.setenv("RR_TIDES_ENABLED", "false")

    hosting = Hosting(Settings(artifacts_dir=tmp_path), [tides([])])

    status = hosting.board.get("tides")
    assert status is not None
    assert ("disabled", {}) == (status.state, dict(hosting.plugins))


@pytest.mark.parametrize(
    ("asks", "keeps", "included"),
    [(False, False, False), (True, False, True), (False, True, True)],
)
async def test_words_are_on_the_bus_where_somebody_asks(
    tmp_path: Path, asks: bool, keeps: bool, included: bool
) -> None:
    """Payloads include the visitor's words if a running plugin asks or recordings are kept."""
    plain = tides([]).plugin
    assert plain is not None
    plugin = replace(plain, include_text=asks)
    hosting = Hosting(
        Settings(artifacts_dir=tmp_path, stt_keep=keeps), [Discovered("tides", plugin)]
    )

    async with hosting.running():
        assert included == hosting.include_text()
        assert hosting.switches is not None
        await hosting.switches.switch("tides", enabled=False)
        assert keeps == hosting.include_text()


def test_settings_that_nothing_reads_are_warned_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's, the plugins' and the agents' names are known; any other is named."""
    agents = tmp_path / "agents.toml"
    agents.write_text('[[agents]]\nid = "gpt-4o"\nkey = "RR_LAKE_KEY"\n', encoding="utf-8")
    names = ("RR_TIDES_ENABLED", "RR_TIDES_ENABLD", "RR_LAKE_KEY", "RR_DRY_ENABLED", "RR_ZZZZZZZZZ")
    for name in names:
        monkeypatch.setenv(name, "true")

    with capture_logs() as logs:
        Hosting(
            Settings(artifacts_dir=tmp_path, agents_file=agents),
            [tides([]), Discovered("dry", None, "no water")],
        )

    warned = {log["variable"]: log["did_you_mean"] for log in logs if "variable" in log}
    assert {
        "RR_TIDES_ENABLD": "RR_TIDES_ENABLED",
        "RR_DRY_ENABLED": None,
        "RR_ZZZZZZZZZ": None,
    } == warned
    assert "its plugin cannot be loaded: no water" in [log.get("reason") for log in logs]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes there")
def test_secrets_that_everybody_can_read_are_named_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their names, with what to do; a file of one's own, or one without secrets, is nothing."""
    monkeypatch.chdir(tmp_path)
    env = tmp_path / ".env"
    env.write_text(
        "RR_PORT=8001\nRR_API_TOKEN=a-long-canary\nRR_NATS_NKEY=SU\nOPENAI_API_KEY=\nRR_TLS_KEY=\n"
    )

    def named() -> list[list[str]]:
        with capture_logs() as logs:
            Hosting(Settings(artifacts_dir=tmp_path / "a"), [])
        return [one["secrets"] for one in logs if "secrets" in one]

    env.chmod(0o644)
    assert [["RR_API_TOKEN", "RR_NATS_NKEY"]] == named()
    env.chmod(0o640)
    assert [] == named()
    env.write_text("RR_PORT=8001\n")
    env.chmod(0o644)
    assert [] == named()
