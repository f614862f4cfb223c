"""The kit for subscribers: it says what breaks the contract, and plays a session."""

import asyncio
import subprocess
import sys
import threading
import time
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict
from structlog import get_logger

import plugins.mood.signals
import plugins.waves.signals
from backend import signals
from backend.plugins import Host, Plugin, PluginSettings
from backend.plugins.testing import (
    RecordedSession,
    check_contract,
    contract,
    holding,
    recorded_session,
)
from backend.signals import (
    EventPublished,
    SessionStarted,
    Signal,
    define,
    emit,
    event_published,
    session_started,
    speech_heard,
    tts_written,
    turn_finished,
)


class MuteSettings(PluginSettings):
    """Settings that say nothing."""

    moon: int


@dataclass
class TideTurned:
    """A payload that a receiver can change."""

    level_m: float


mute_signal = define("mute_signal", TideTurned)
MUTE = Plugin(
    "mute",
    MuteSettings,
    "backend.plugins:no_lifespan",
    sends="tests.backend.plugins.test_testing:mute_sends",
)
mute_sends = (mute_signal,)


def test_what_a_plugin_says_of_itself_is_checked(tmp_path: Path) -> None:
    """Everything that is missing is told at once."""
    with pytest.raises(AssertionError) as raised:
        check_contract(MUTE, tmp_path)

    for words in (
        "MuteSettings has the env_prefix '': give it one of its own, such as RR_MUTE_",
        "the setting moon has no description",
        "give each setting a default",
        "its lifespan cannot be imported",
        "define mute_signal with its meaning, sender and thread",
        "TideTurned is no frozen dataclass",
    ):
        assert words in str(raised.value)


class UnrulySettings(PluginSettings):
    """Only whether it runs."""

    model_config = SettingsConfigDict(env_prefix="RR_UNRULY_")


log = get_logger(__name__)
released = threading.Event()
children: list["subprocess.Popen[bytes]"] = []
opened: list[Any] = []


def start_child() -> "subprocess.Popen[bytes]":
    """Start a process that ends when it is told to."""
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


@asynccontextmanager
async def unruly(host: Host, _: UnrulySettings) -> AsyncIterator[None]:
    """Break all of the contract that can be broken at once."""

    def raises_at_what_is_new(_: object, *, event: EventPublished) -> None:
        if event.name == "tide.turned":
            raise KeyError(event.name)

    def wants_a_heard_id(_: object, *, event: SessionStarted) -> None:
        if not event.heard_id:
            raise ValueError("typed")
        log.error("the moon is down")
        emit(mute_signal, None, TideTurned(1.0))

    def works(_: object, *, event: object) -> None:
        began = time.thread_time()
        while time.thread_time() - began < 0.006:
            pass

    def blocks(_: object, *, event: object) -> None:
        threading.Event().wait(0.006)

    async def is_async(_: object, *, event: object) -> None: ...

    threading.Thread(target=released.wait, name="tide watch").start()
    opened.append(asyncio.create_task(asyncio.sleep(60), name="tide"))
    children.append(start_child())
    left = host.artifacts.root.parent / "tides.txt"
    opened.append(left.open("w"))
    tts_written.connect(works)
    with ExitStack() as stack:
        for receiver in (raises_at_what_is_new, is_async):
            stack.enter_context(event_published.connected_to(receiver))
        stack.enter_context(session_started.connected_to(wants_a_heard_id))
        stack.enter_context(turn_finished.connected_to(blocks))
        yield


UNRULY = Plugin("unruly", UnrulySettings, unruly, listens=("tts_written",))


@pytest.fixture
def _tidied(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait for nothing that stays, and end it afterwards."""
    monkeypatch.setattr(contract, "LIMIT_S", 0.1)
    monkeypatch.setattr(holding, "LIMIT_S", 0.1)
    yield
    released.set()
    for child in children:
        child.communicate(b"\n")
    for one in opened:
        if not isinstance(one, asyncio.Task):
            one.close()
    for connection in tts_written.connections:
        tts_written.disconnect(connection.receiver)


@pytest.mark.e2e
@pytest.mark.usefixtures("_tidied")
def test_what_a_plugin_does_is_checked(tmp_path: Path) -> None:
    """What it leaves, what it does not survive, and how long a visitor waits for it."""
    with pytest.raises(AssertionError) as raised:
        check_contract(UNRULY, tmp_path / "artifacts")

    told = str(raised.value)
    for words in (
        "raises_at_what_is_new raises for event_published, of EventPublished: KeyError('tide.tur",
        "wants_a_heard_id raises for session_started, of SessionStarted: ValueError('typed')",
        "is_async is a coroutine function: make it a plain one",
        "ms for tts_written, and a visitor waits for it: let it put the event in a backend.tr",
        "ms for turn_finished",
        "its `listens` are ['tts_written']",
        "it sends ['mute_signal']: name them in its `sends`",
        "the moon is down",
        "receivers of ['tts_written'] stay after its stop",
        "the tasks ['tide'] stay after its stop",
        "the threads ['tide watch'",
        "2 child processes, not 1",
        " open files, not ",
        f"it leaves {tmp_path / 'tides.txt'}",
    ):
        assert words in told


@asynccontextmanager
async def hanging(host: Host, _: UnrulySettings) -> AsyncIterator[None]:
    """Start, and never stop."""
    yield
    await asyncio.Event().wait()


def not_starting(host: Host, _: UnrulySettings) -> Any:
    """Fail to start."""
    raise RuntimeError("no moon")


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("lifespan", "words"),
    [
        (hanging, "it stops with an error, or not within 0.2 s: TimeoutError()"),
        (not_starting, "it starts with an error, or not within 30 s: RuntimeError('no moon')"),
    ],
)
def test_start_and_stop_are_bounded(
    lifespan: Any, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever hangs there or fails is told so."""
    monkeypatch.setattr(contract, "STOP_LIMIT_S", 0.2)

    with pytest.raises(AssertionError) as raised:
        check_contract(Plugin("unruly", UnrulySettings, lifespan), tmp_path)

    assert words in str(raised.value)


EARLY = """
import threading
from pydantic_settings import SettingsConfigDict
from backend.plugins import Plugin, PluginSettings
from backend.signals import tts_written
import early_lifespan

class EarlySettings(PluginSettings):
    model_config = SettingsConfigDict(env_prefix="RR_EARLY_")

tts_written.connect(print)
threading.Thread(target=threading.Event().wait, daemon=True).start()
plugin = Plugin("early", EarlySettings, "early_lifespan:lifespan", listens=())
"""
LIFESPAN = """
from contextlib import asynccontextmanager

@asynccontextmanager
async def lifespan(host, settings):
    yield
"""


@pytest.mark.e2e
def test_what_is_off_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At import it loads its settings, and does nothing."""
    (tmp_path / "early.py").write_text(EARLY, "utf-8")
    (tmp_path / "early_lifespan.py").write_text(LIFESPAN, "utf-8")
    program = (
        "import sys, early\n"
        "from pathlib import Path\n"
        "from backend.plugins.testing import check_contract\n"
        "check_contract(early.plugin, Path(sys.argv[1]))"
    )
    monkeypatch.setenv("PYTHONPATH", f"{Path(__file__).parents[3]}:{tmp_path}")

    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "artifacts"], capture_output=True, text=True
    )

    for words in (
        "early_lifespan is imported where it is off",
        "early connects receivers at import",
        "early starts threads at import",
    ):
        assert words in done.stderr


def test_the_session_has_every_signal_and_its_files(host: Host, session: RecordedSession) -> None:
    """A signal that is new, or a payload that has changed, needs a new recording."""
    sent = [one.signal for one in session.signals]
    assert {one for one in vars(signals).values() if isinstance(one, Signal)} <= {*sent}
    assert [speech_heard, event_published, session_started] == sent[:3]
    assert 18 == sent.count(tts_written) == sent.count(plugins.waves.signals.waves_written)
    assert 1 == sent.count(plugins.mood.signals.mood_read)
    lines = Path(contract.__file__).with_name("session.jsonl").read_text("utf-8").splitlines()
    assert len(lines) - 1 == len(sent)
    for one in session.signals:
        if one.signal is tts_written:
            assert (
                one.event.audio_path
                == one.event.wav_path.relative_to(host.artifacts.root).as_posix()
            )
            with wave.open(str(one.event.wav_path), "rb") as file:
                assert 2000 == file.getnframes()


async def test_the_session_is_played_in_its_order(tmp_path: Path) -> None:
    """Each signal reaches its receivers, and tasks run in between; a second one has its own id."""
    session, heard = recorded_session(tmp_path), []

    def receive(_: object, *, event: object) -> None:
        heard.append(event)

    with ExitStack() as stack:
        for signal in {one.signal for one in session.signals}:
            stack.enter_context(signal.connected_to(receive))
        await session.play()

    assert [one.event for one in session.signals] == heard
    assert session.session_id != recorded_session(tmp_path).session_id
