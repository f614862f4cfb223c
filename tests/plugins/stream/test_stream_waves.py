"""`slot.waves` among a session's events in a real server, with real waves."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.backend.serving import READY, Serving
from tests.live import LiveServer, chat_body, events
from tests.patience import LIMIT_S
from tests.plugins.stream.conftest import Serve
from tests.plugins.stream.reader import EventSource

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server that tells of waves, and makes them."""
    root = tmp_path_factory.mktemp("artifacts")
    variables = {"RR_STREAM_WAVES": "true", "RR_WAVES_BACKFILL_INTERVAL_S": "0"}
    with serve(root, with_waves=True, **variables) as live:
        yield live


def test_waves_are_told_of_at_the_same_place_to_everybody(
    server: LiveServer, client: httpx2.Client
) -> None:
    """Each utterance has one `slot.waves`; ids are the same at every drop, also during the show."""
    with ThreadPoolExecutor(1) as pool:
        with (
            server.client() as visitor,
            visitor.stream("POST", "/v1/chat", json=chat_body(1, 2)) as answer,
        ):
            coming = events(answer.iter_lines())
            first = next(coming)
            during = EventSource(client, first[1]["sessionId"])
            reading = pool.submit(during.read_all)
            heard = [first, *coming]
        reading.result(LIMIT_S)
    messages = during.messages

    waves = [message.content for message in messages if message.name == "slot.waves"]
    others = [
        (message.name, message.content) for message in messages if message.name != "slot.waves"
    ]
    assert heard == others
    assert [str(number) for number in range(1, len(messages) + 1)] == [m.id for m in messages]
    spoken = {data["audioPath"]: data for name, data in heard if name == "slot.audio"}
    assert 6 == len(spoken)
    assert sorted(spoken) == sorted(data["audioPath"] for data in waves)
    for data in waves:
        announced = spoken[data["audioPath"]]
        same = ("sessionId", "turnIndex", "kind", "slotId", "agentId")
        assert [announced[key] for key in same] == [data[key] for key in same]
        assert ("reason" in data, 8000, 3) == (False, data["sampleRate"], len(data["files"]))
        for path in data["files"]:
            assert HTTPStatus.OK == client.head(f"/v1/audio/{path}").status_code
    for k in range(len(messages) + 1):
        source = EventSource(client, during.session_id)
        source.connect(k)
        source.read_all()
        assert messages == source.messages, f"dropped after {k}"


def test_readers_do_not_hold_up_a_stop(tmp_path: Path) -> None:
    """At a stop a reader that waits for waves ends, one of a running session first gets `done`."""
    full = {"RR_WAVES_MIN_FREE_MB": "1000000000"}  # utterances wait for room on the disk
    env = {"RR_STREAM_WAVES": "true", "RR_WAVES_STOP_LIMIT_S": "0", **full}
    with Serving(tmp_path, env) as serving, ExitStack() as streams:
        serving.wait_for(READY)
        url = f"http://127.0.0.1:{serving.port}"
        client = streams.enter_context(httpx2.Client(base_url=url, timeout=LIMIT_S))

        def stream(method: str, path: str, **options: Any) -> Iterator[tuple[str, Any]]:
            answer = streams.enter_context(client.stream(method, path, **options))
            return events(answer.iter_lines())

        finished = list(stream("POST", "/v1/chat", json=chat_body(1)))
        waiting = stream("GET", f"/v1/sessions/{finished[0][1]['sessionId']}/events")
        told = [next(waiting) for _ in finished]
        running = stream("POST", "/v1/chat", json=chat_body(1, 2, 3, 4, 5, 6))
        first = next(running)
        following = stream("GET", f"/v1/sessions/{first[1]['sessionId']}/events")
        serving.tell(signal.SIGTERM)
        rest, heard, followed = list(waiting), [first, *running], list(following)
        code = serving.wait(LIMIT_S)
        log = "".join(serving.log)

    assert (finished, []) == (told, rest)
    assert "done" == heard[-1][0]
    assert heard == followed
    assert 0 == code
    assert "stop took too long" not in log
    assert "exceeded" not in log
