"""F21: whatever a receiver does, a visitor's session is the same, and the log names it."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend import signals
from backend.signals import tts_written
from tests.live import LiveServer, Sequence, chat

pytestmark = pytest.mark.faults

SENT = (
    signals.session_started,
    signals.tts_written,
    signals.turn_finished,
    signals.session_finished,
)


def raises(_: object, *, event: object) -> None:
    raise RuntimeError("the subscriber's own trouble")


def wrong_signature(_: object) -> None: ...


async def is_async(_: object, *, event: object) -> None: ...


def blocks(_: object, *, event: object) -> None:
    threading.Event().wait(2)


@contextmanager
def everywhere(receiver: Any) -> Iterator[None]:
    """Connect a receiver to every signal that the workflow sends."""
    with ExitStack() as stack:
        for signal in SENT:
            stack.enter_context(signal.connected_to(receiver))
        yield


@contextmanager
def forgotten() -> Iterator[None]:
    """Connect a bound method of an object to which nothing else refers, and that raises."""

    class Subscriber:
        def receive(self, _: object, *, event: object) -> None:
            raise AssertionError("nobody else holds this object")

    for signal in SENT:
        signal.connect(Subscriber().receive)
    gc.collect()
    yield
    for signal in SENT:
        for connection in signal.connections:
            signal.disconnect(connection.receiver)


def session_of(server: LiveServer) -> Sequence:
    """Run one session with nothing remembered; return its events, its own id replaced."""
    with server.client() as client:
        client.post("/v1/reset").raise_for_status()
    events = chat(server, 1)
    session_id = events[0][1]["sessionId"]
    for _, data in events:
        data["sessionId"] = "the session"
        if "audioPath" in data:
            data["audioPath"] = data["audioPath"].replace(session_id, "the session")
    return events


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("connected", "bad", "logged", "times"),
    [
        pytest.param(lambda: everywhere(raises), "raises", "receiver failed", 6, id="raises"),
        pytest.param(
            lambda: everywhere(wrong_signature), "wrong_signature", "receiver failed", 6,
            id="signature",
        ),
        pytest.param(lambda: everywhere(is_async), "is_async", "receiver is async", 6, id="async"),
        pytest.param(
            lambda: tts_written.connected_to(blocks), "blocks", "receiver is slow", 1, id="blocks"
        ),
        pytest.param(forgotten, "Subscriber", "receiver failed", 6, id="forgotten"),
    ],
)  # fmt: skip
def test_a_receiver_is_not_noticed(
    server: LiveServer,
    connected: Callable[[], AbstractContextManager[None]],
    bad: str,
    logged: str,
    times: int,
) -> None:
    """F21: with any kind of bad receiver the events are identical, and each failure is logged."""
    expected = session_of(server)
    good: list[object] = []

    def keep(_: object, *, event: object) -> None:
        good.append(event)

    with capture_logs() as logs, connected(), everywhere(keep):
        events = session_of(server)
        server.settle()

    assert expected == events
    told = [entry for entry in logs if bad in entry.get("receiver", "")]
    told = [entry for entry in told if entry["event"].startswith(logged)]
    assert times == len(told)
    assert all(entry.get("milliseconds", 2000) >= 2000 for entry in told)
    sent = [type(event).__name__ for event in good]
    assert ["SessionStarted", "TtsWritten", *["TurnFinished"] * 3, "SessionFinished"] == sent
