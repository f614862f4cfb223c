"""F30: visitors who leave, who read slowly, and who come twenty at once, with the real waves."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from backend.config import Settings
from backend.http.app import RETRY_AFTER_S, create_app
from backend.plugins import discover
from backend.plugins.testing import threads_that_stay
from tests.backend.conftest import Gate
from tests.live import (
    Answer,
    Data,
    LiveServer,
    Sequence,
    chat,
    chat_body,
    events,
    leave_after,
    parse,
    post,
)
from tests.patience import LIMIT_S

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

MAX_SESSIONS = 4
VISITORS = 20
SMALLEST_BUFFER = 1  # bytes; the kernel makes it as small as it can
JSON_TYPE = "Content-Type: application/json"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the artifacts root of the module's server."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    """Return a server with the plugins that are installed, after its first visitor.

    What the first one leaves for the next, such as the watch of sse-starlette for the server's end,
    is no leak.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0")  # the live path alone makes the waves
        settings = Settings(artifacts_dir=root, seed=1, max_sessions=MAX_SESSIONS)
        app = create_app(settings, discover())
    with LiveServer(app) as live:
        chat(live, 1)
        yield live


async def tasks_of_the_loop() -> set[asyncio.Task[object]]:
    """Return what runs on the loop, this task apart."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def tasks_that_stay(known: set[asyncio.Task[object]]) -> list[str]:
    """Return what is not `known` and does not end either."""
    deadline = monotonic() + LIMIT_S / 2
    while (new := await tasks_of_the_loop() - known) and monotonic() < deadline:
        await asyncio.wait(new, timeout=deadline - monotonic())
    return [str(task.get_coro()) for task in new]


def manifests(root: Path) -> dict[str, Data]:
    """Return the manifest of every session below `root`."""
    found = (root / "tts" / "sessions").glob("*/session.json")
    return {path.parent.name: json.loads(path.read_bytes()) for path in found}


def wait_for_waves(root: Path) -> int:
    """Wait until each speech file has its three waves; return how many files of speech there are.

    What makes them are processes of lowest priority, hence the patience.
    """
    speech = list((root / "tts" / "sessions").rglob("*.wav"))
    missing = {
        root / "waves" / wav.parent.relative_to(root / "tts") / f"{wav.stem}_v3_wave{number}.wav"
        for wav in speech
        for number in (1, 2, 3)
    }
    deadline = monotonic() + LIMIT_S
    while missing := {path for path in missing if not path.is_file()}:
        assert monotonic() < deadline, f"{len(missing)} of {3 * len(speech)} waves did not come"
        threading.Event().wait(0.05)
    return len(speech)


def frames(session: Sequence) -> list[str]:
    """Return the names of the events that are the same whatever the slots do."""
    return [name for name, _ in session if "slot" not in name]


def test_a_visitor_who_leaves_stops_nothing(server: LiveServer, root: Path) -> None:
    """F30: whatever event a client leaves after, its session ends whole, and another's too."""
    whole = chat(server, 1)
    server.settle()
    before = manifests(root).keys()
    tasks, threads = server.run(tasks_of_the_loop()), threading.enumerate()
    other: list[Sequence] = []
    reader = threading.Thread(target=lambda: other.append(chat(server, 1, 2)))

    reader.start()
    for count in range(len(whole) + 1):
        leave_after(server, count, 1)
        if count % (MAX_SESSIONS - 1) == 0:
            server.settle()
    reader.join(LIMIT_S)
    server.settle()
    recordings = wait_for_waves(root)

    found = manifests(root)
    sessions = [found[session_id] for session_id in found.keys() - before]
    assert len(whole) + 2 == len(sessions)
    assert {"finished"} == {manifest["status"] for manifest in sessions}
    spoken = [utterance for manifest in sessions for utterance in manifest["utterances"]]
    assert len(whole) + 1 + 6 == len(spoken), "one for each who left, six for the other"
    assert all((root / utterance["audio_path"]).stat().st_size > 44 for utterance in spoken)
    assert frames(whole) == frames(other[0])
    assert recordings > len(spoken)
    assert [] == server.run(tasks_that_stay(tasks))
    assert [] == threads_that_stay(threads)


def test_a_visitor_who_reads_slowly_holds_nobody_up(server: LiveServer, root: Path) -> None:
    """F30: who reads nothing until all is over gets all of it; another visitor waits for nobody."""
    tasks = server.run(tasks_of_the_loop())
    body = json.dumps(chat_body(1, 2)).encode()
    head = (
        f"POST /v1/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON_TYPE}\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
        slow.settimeout(LIMIT_S)
        slow.connect(("127.0.0.1", server.port))
        slow.sendall(head.encode() + body)

        other = chat(server, 1, 2)
        server.settle()
        received = b"".join(iter(lambda: slow.recv(100), b""))

    answer = parse(received)
    assert 200 == answer.status
    read = list(events(answer.body.decode().splitlines()))
    assert frames(other) == frames(read)
    assert ["done", "done"] == [other[-1][0], read[-1][0]]
    wait_for_waves(root)
    assert [] == server.run(tasks_that_stay(tasks))


def test_twenty_visitors_at_once(server: LiveServer, root: Path, gate: Gate) -> None:
    """F30: four are served, sixteen told to come back, and whoever comes back later is served."""
    wait_for_waves(root)
    tasks, threads = server.run(tasks_of_the_loop()), threading.enumerate()
    before = manifests(root).keys()
    body = json.dumps(chat_body(1, 2)).encode()
    refused = threading.Semaphore(0)

    def visit(_: int) -> Answer:
        answer = post(server.port, "/v1/chat", body, JSON_TYPE)
        if answer.status == 503:
            refused.release()
        return answer

    with ThreadPoolExecutor(VISITORS) as visitors:
        answers = visitors.map(visit, range(VISITORS))
        for _ in range(VISITORS - MAX_SESSIONS):
            assert refused.acquire(timeout=LIMIT_S), "somebody was neither served nor refused"
        gate.opened.set()
        statuses = [(answer.status, answer) for answer in answers]
    server.settle()
    again = chat(server, 1, 2)
    server.settle()
    recordings = wait_for_waves(root)

    served = [answer for status, answer in statuses if status == 200]
    turned_away = [answer for status, answer in statuses if status == 503]
    assert (MAX_SESSIONS, VISITORS - MAX_SESSIONS) == (len(served), len(turned_away))
    assert {str(RETRY_AFTER_S)} == {answer.headers["retry-after"] for answer in turned_away}
    for answer in served:
        session = list(events(answer.body.decode().splitlines()))
        assert frames(again) == frames(session)
        assert "slot.error" not in [name for name, _ in session]
    found = manifests(root)
    new = [found[session_id] for session_id in found.keys() - before]
    assert ["finished"] * (MAX_SESSIONS + 1) == [manifest["status"] for manifest in new]
    assert [] == server.run(tasks_that_stay(tasks))
    assert [] == threads_that_stay(threads)
    assert recordings >= sum(len(manifest["utterances"]) for manifest in new)
