"""The acceptance criteria AC1 to AC5: real speech, real workers, a real server, the real plugin.

Workers are stopped (SIGSTOP) where a test needs to know that nothing is decomposed yet: order is
shown by what can and what cannot have happened, never by a clock.
"""

import asyncio
import signal
import threading
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins.testing import threads_that_stay
from backend.runtime import SPEECH_THREADS
from backend.signals import TtsWritten, tts_written
from plugins.waves.signals import WavesFailed, WavesWritten, waves_failed, waves_written
from tests.live import LiveServer, Sequence, chat
from tests.patience import LIMIT_S, until
from tests.workers import workers_of

pytestmark = pytest.mark.e2e

MAX_WORKERS = 2
QUEUE_MAX_SIZE = 6

Outcome = WavesWritten | WavesFailed


class Watch:
    """Everything the bus tells about utterances while a test runs, in order."""

    def __init__(self) -> None:
        self.written: list[TtsWritten] = []
        self.outcomes: list[Outcome] = []
        self._changed = threading.Condition()

    def on_written(self, _: object, *, event: TtsWritten) -> None:
        """Take down an utterance."""
        self.written.append(event)

    def on_outcome(self, _: object, *, event: Outcome) -> None:
        """Take down what became of one."""
        with self._changed:
            self.outcomes.append(event)
            self._changed.notify_all()

    def wait_for_outcomes(self, count: int) -> None:
        """Wait until `count` utterances have ended."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self.outcomes) >= count, LIMIT_S)
        assert came, f"{len(self.outcomes)} of {count} outcomes came"

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen to the three signals."""
        with ExitStack() as stack:
            stack.enter_context(tts_written.connected_to(self.on_written))
            for outcome in (waves_written, waves_failed):
                stack.enter_context(outcome.connected_to(self.on_outcome))
            yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts root of the server."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    """Return a server with the plugins that are installed, its workers warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RR_WAVES_MAX_WORKERS", str(MAX_WORKERS))
        patch.setenv("RR_WAVES_QUEUE_MAX_SIZE", str(QUEUE_MAX_SIZE))
        patch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0")  # outcomes are counted
        patch.setenv("RR_WAVES_JOB_TIMEOUT_S", str(LIMIT_S))  # the workers are stopped for a while
        app = create_app(Settings(artifacts_dir=root, seed=1))
    with LiveServer(app) as live:
        warm = Watch()
        with warm.watching():
            chat(live, 1)
            warm.wait_for_outcomes(1)
            until(lambda: len(workers()) == MAX_WORKERS, "every worker is there")
        yield live


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Return what the bus tells during the test."""
    watch = Watch()
    with watch.watching():
        yield watch


@pytest.fixture(scope="module")
def session(server: LiveServer, root: Path) -> tuple[Sequence, Watch]:
    """Return one session of two slots with all its waves."""
    watch = Watch()
    with watch.watching():
        events = chat(server, 1, 2)
        watch.wait_for_outcomes(len(watch.written))
    return events, watch


def workers() -> list[psutil.Process]:
    """Return the worker processes there are."""
    return workers_of(psutil.Process())


@contextmanager
def stopped_workers() -> Iterator[list[psutil.Process]]:
    """Keep the workers from doing anything for a while."""
    stopped = workers()
    for worker in stopped:
        worker.send_signal(signal.SIGSTOP)
    try:
        yield stopped
    finally:
        for worker in stopped:
            with suppress(psutil.Error):
                worker.send_signal(signal.SIGCONT)


def announced(events: Sequence) -> list[str]:
    """Return the audioPath of every slot.audio."""
    return [data["audioPath"] for name, data in events if name == "slot.audio"]


def below(directory: Path) -> list[str]:
    """Return every WAV below `directory`, by its path there."""
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*.wav"))


def test_ac1_correct_storage_layout(session: tuple[Sequence, Watch], root: Path) -> None:
    """The waves of a session stand below waves/sessions/<id>/turn_<N>, as its speech does."""
    events, _ = session
    session_id = events[0][1]["sessionId"]
    speech = root / "tts" / "sessions" / session_id
    waves = root / "waves" / "sessions" / session_id

    turns = {"turn_1", "turn_2", "turn_3"}
    assert turns == {path.parent.name for path in speech.rglob("*.wav")}
    assert turns == {path.parent.name for path in waves.rglob("*.wav")}
    assert turns == {path.name for path in waves.iterdir() if path.is_dir()}
    assert [] == list((root / ".tmp").iterdir())


def test_ac2_output_completeness(
    session: tuple[Sequence, Watch], server: LiveServer, root: Path
) -> None:
    """Each WAV has exactly its three waves: whole, of its length, and served."""
    events, watch = session
    session_id = events[0][1]["sessionId"]
    waves = root / "waves/sessions" / session_id
    bases = [path.removesuffix(".wav") for path in below(root / "tts/sessions" / session_id)]

    produced = below(waves)

    assert [] == [event for event in watch.outcomes if isinstance(event, WavesFailed)]
    assert sorted(f"{base}_v3_wave{n}.wav" for base in bases for n in (1, 2, 3)) == produced
    spoken = [f"tts/sessions/{session_id}/{base}.wav" for base in bases]
    assert sorted(announced(events)) == spoken
    for base in bases:
        with wave.open(str(root / "tts/sessions" / session_id / f"{base}.wav"), "rb") as file:
            duration_s = file.getnframes() / file.getframerate()
        for n in (1, 2, 3):
            with wave.open(str(waves / f"{base}_v3_wave{n}.wav"), "rb") as file:
                shape = (file.getframerate(), file.getnchannels(), file.getsampwidth())
                frames, samples = file.getnframes(), file.readframes(file.getnframes())
            assert (8000, 1, 2) == shape
            assert frames == pytest.approx(duration_s * 8000, abs=1)
            assert any(samples), f"wave {n} of {base} is silent"
    outcomes = [event for event in watch.outcomes if isinstance(event, WavesWritten)]
    files = sorted(path for event in outcomes for path in event.files)
    assert produced == [path.relative_to(waves).as_posix() for path in files]
    with server.client() as client:
        for path in files:
            answer = client.get(f"/v1/audio/{path.relative_to(root).as_posix()}")
            assert (200, path.read_bytes()) == (answer.status_code, answer.content)


def test_ac3_non_blocking(server: LiveServer, watch: Watch, root: Path) -> None:
    """While no worker moves, a visitor hears all three turns to `done`; the waves come after."""
    with stopped_workers() as stopped:
        events = chat(server, 3, 4)
        heard_before = announced(events)
        outcomes_before = list(watch.outcomes)

    watch.wait_for_outcomes(len(watch.written))

    assert MAX_WORKERS == len(stopped)
    assert ("done", 2) == (events[-1][0], events[-1][1]["completedSlots"])
    assert 6 == len(heard_before)
    assert [] == outcomes_before
    assert sorted(heard_before) == sorted(event.source.audio_path for event in watch.outcomes)
    assert all(isinstance(event, WavesWritten) for event in watch.outcomes)


async def tasks() -> int:
    """Return how many tasks there are on the server's loop beside this one."""
    return len(asyncio.all_tasks()) - 1


def test_ac4_bounded_parallelism(server: LiveServer, watch: Watch) -> None:
    """However much is spoken, there are max_workers workers, a bounded queue and no more tasks."""
    capacity = MAX_WORKERS + QUEUE_MAX_SIZE
    alive: list[int] = []

    def count(_: object, *, event: WavesWritten) -> None:
        alive.append(len(workers()))

    with waves_written.connected_to(count):
        with stopped_workers() as stopped:
            first = chat(server, 1, 2, 3, 4, 5, 6)
            server.settle()
            tasks_before, threads = server.run(tasks()), threading.enumerate()
            second = chat(server, 1, 2, 3, 4, 5, 6)
            server.settle()
            until(lambda: server.run(tasks()) <= tasks_before, "no task stays")
            stayed = threads_that_stay(threads)
            new = set(threading.enumerate()) - set(threads)
            spoken = announced(first) + announced(second)
            watch.wait_for_outcomes(len(spoken) - capacity)
            refused = list(watch.outcomes)
        watch.wait_for_outcomes(len(spoken))

    assert len(announced(first)) > capacity, "too little to fill the queue"
    assert [6, 6] == [events[-1][1]["completedSlots"] for events in (first, second)]
    assert {"queue_full"} == {event.reason for event in refused if isinstance(event, WavesFailed)}
    assert len(spoken) - capacity == len(refused)
    assert sorted(spoken) == sorted(event.source.audio_path for event in watch.outcomes)
    assert capacity == sum(isinstance(event, WavesWritten) for event in watch.outcomes)
    assert MAX_WORKERS == len(stopped)
    assert {MAX_WORKERS} == set(alive)
    assert [] == stayed
    assert sum(thread.name.startswith("speech") for thread in new) <= SPEECH_THREADS


def emptied(path: Path) -> None:
    """Leave a file of no bytes."""
    path.write_bytes(b"")


def deleted(path: Path) -> None:
    """Leave nothing."""
    path.unlink()


def halved(path: Path) -> None:
    """Leave the first half."""
    contents = path.read_bytes()
    path.write_bytes(contents[: len(contents) // 2])


def replaced(path: Path) -> None:
    """Leave something that is no WAV."""
    path.write_bytes(b"water" * 1000)


DAMAGE: dict[tuple[int, int], Callable[[Path], None]] = {
    (1, 5): emptied,
    (1, 6): deleted,
    (2, 5): halved,
    (3, 6): replaced,
}


def test_ac5_failure_isolation(server: LiveServer, watch: Watch) -> None:
    """WAVs that are broken before they are read fail alone: one ERROR each, all else is made."""

    def damage(_: object, *, event: TtsWritten) -> None:
        if harm := DAMAGE.get((event.turn_index, event.slot_id)):
            harm(event.wav_path)

    with capture_logs() as logs:
        with tts_written.connected_to(damage), stopped_workers() as before:
            events = chat(server, 5, 6)
        watch.wait_for_outcomes(6)
        following = chat(server, 1)
        watch.wait_for_outcomes(7)

    assert ("done", 2) == (events[-1][0], events[-1][1]["completedSlots"])
    assert 6 == len(announced(events))
    assert "slot.error" not in {name for name, _ in events}
    failed = [event for event in watch.outcomes if isinstance(event, WavesFailed)]
    assert DAMAGE.keys() == {(e.source.turn_index, e.source.slot_id) for e in failed}
    assert {"invalid_audio"} == {event.reason for event in failed}
    assert sorted(str(event.source.wav_path) for event in failed) == sorted(
        str(log["input_path"]) for log in logs if at_least_error(log)
    )
    assert all(log["message"] and log["session_id"] for log in logs if at_least_error(log))
    last = watch.outcomes[-1]
    assert isinstance(last, WavesWritten)
    assert announced(following) == [last.source.audio_path]
    assert {worker.pid for worker in before} == {worker.pid for worker in workers()}


def at_least_error(log: EventDict) -> bool:
    """Tell whether a log line is an error or worse."""
    return log["log_level"] in {"error", "critical"}
