"""With `RR_KEEP_TEXTS=false` nothing that is said is in a file or in the log."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backend.serving import READY, Serving
from tests.command import run
from tests.live import Answer, chat_body, chunks, events, post

pytestmark = pytest.mark.e2e

WORD = "xqcanary"
MESSAGE = f"What does the {WORD} remember?"
LOUD = {
    "RR_KEEP_TEXTS": "false",
    "RR_LOG_LEVEL": "debug",
    "RR_TRACE_SIGNALS": "true",
    "RR_SEED": "1",
    "RR_METRICS_ENABLED": "true",
    "RR_SHOW_ENABLED": "true",
    "RR_STREAM_ENABLED": "true",
    "RR_OSC_ENABLED": "true",
    "RR_OSC_TARGETS": "127.0.0.1:9",
    "RR_MOOD_ENABLED": "true",
    "RR_SUMMARY_TURN": "true",
}
"""Everything that could write a text runs, and says what it can."""


def phrases(texts: list[str]) -> set[bytes]:
    """Return what must not be found: the visitor's word, and each sentence of the agents."""
    sentences = {part.strip() for text in texts for part in text.split(".")}
    return {WORD.encode(), *(part.encode() for part in sentences if len(part) > 20)}


def found_in(root: Path, texts: list[str]) -> list[str]:
    """Return the files below `root` in which something that was said can be read."""
    said = phrases(texts)
    files = [path for path in root.rglob("*") if path.is_file()]
    assert any(path.name == "session.json" for path in files)
    return [str(path) for path in files if any(one in path.read_bytes() for one in said)]


@pytest.mark.parametrize("kept", [True, False])
def test_a_rehearsal_writes_no_text(tmp_path: Path, kept: bool) -> None:
    """Its files have the words where texts are kept, which shows that they would be found."""
    env = {**LOUD, "RR_KEEP_TEXTS": str(kept).lower()}

    done = run("rehearse", MESSAGE, "--slots", "3", "--json", cwd=tmp_path, env=env)

    texts = [said["text"] for said in json.loads(done.stdout)["utterances"]]
    assert len(phrases(texts)) > 5
    assert kept == bool(found_in(tmp_path, texts))


def test_a_session_of_a_server_writes_no_text(tmp_path: Path) -> None:
    """Neither do its files nor its log at its loudest, whatever a client sends."""
    with Serving(tmp_path, LOUD) as server:
        server.wait_for(READY)
        said = _chat(server, chat_body(1, 2, message=MESSAGE))
        for body in ({"slots": WORD}, {**chat_body(1), "message": WORD * 500}, [WORD]):
            assert 422 == _post(server, body).status
        assert 0 == server.stop()

    texts = [data["text"] for name, data in said if name == "slot.done"]
    log = "".join(server.log).encode()
    assert len(texts) > 4
    assert [] == found_in(tmp_path, texts)
    assert b"session finished" in log
    assert [] == [one for one in phrases(texts) if one in log]


def _post(server: Serving, body: Any) -> Answer:
    content = json.dumps(body).encode()
    return post(server.port, "/v1/chat", content, "Content-Type: application/json")


def _chat(server: Serving, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    lines = b"".join(chunks(_post(server, body).body)).decode().splitlines()
    return list(events(lines))
