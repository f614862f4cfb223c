"""`/v1/slots`: who is in which dish, over restarts, and what a slot remembers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.agents.registry import DEFAULT_PROFILES, Registry
from backend.config import Settings
from backend.http.app import create_app
from backend.http.slots import SLOTS_FILE, Arrangement, SlotsRequest
from backend.storage import Artifacts
from tests.live import LiveServer, events

pytestmark = pytest.mark.usefixtures("spoken_once")

FIRST = [(number, agent.id) for number, agent in enumerate(DEFAULT_PROFILES, start=1)]
OTHER = [(5, "gpt-4o"), (2, "gemini-3")]


def body(*slots: tuple[int, str]) -> dict[str, Any]:
    """Return the body of a change."""
    return {"slots": [{"slotId": slot_id, "agentId": agent_id} for slot_id, agent_id in slots]}


def pairs(answer: dict[str, Any]) -> list[tuple[int, str]]:
    """Return the slots and agents of an answer."""
    return [(slot["slotId"], slot["agentId"]) for slot in answer["slots"]]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[LiveServer]:
    """Return a server of its own artifacts root."""
    with LiveServer(create_app(Settings(artifacts_dir=tmp_path, seed=1), [])) as server:
        yield server


def test_at_first_the_agents_stand_in_their_order(live: LiveServer) -> None:
    """Slot 1 has the first agent, with its name, color and description."""
    with live.client() as client:
        answer = client.get("/v1/slots").json()

    assert FIRST == pairs(answer)
    first = DEFAULT_PROFILES[0]
    assert {
        "slotId": 1,
        "agentId": first.id,
        "name": first.name,
        "color": first.color,
        "description": first.description,
    } == answer["slots"][0]


def test_a_change_is_answered_and_survives_a_restart(live: LiveServer, tmp_path: Path) -> None:
    """It is in the order of slots, and a server that starts later has it."""
    with live.client() as client:
        changed = client.put("/v1/slots", json=body(*OTHER))
        assert 200 == changed.status_code
        assert sorted(OTHER) == pairs(changed.json()) == pairs(client.get("/v1/slots").json())

    app = create_app(Settings(artifacts_dir=tmp_path), [])
    with LiveServer(app) as later, later.client() as client:
        assert sorted(OTHER) == pairs(client.get("/v1/slots").json())


def test_a_chat_without_slots_has_those_of_the_arrangement(live: LiveServer) -> None:
    """Who speaks is what was arranged; a chat that names its slots has those."""
    spoken: list[set[tuple[int, str]]] = []
    with live.client() as client:
        client.put("/v1/slots", json=body(*OTHER))
        for slots in ({}, body((3, "gpt-5.1"))):
            with client.stream("POST", "/v1/chat", json={"message": "Hello", **slots}) as answer:
                told = list(events(answer.iter_lines()))
            spoken.append(
                {(data["slotId"], data["agentId"]) for name, data in told if name == "slot.audio"}
            )

    assert [set(OTHER), {(3, "gpt-5.1")}] == spoken


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({}, "slots"),
        (body(), "slots"),
        (body((1, "gpt-4o"), (1, "gpt-5.1")), "slots"),
        (body((7, "gpt-4o")), "slots.0.slotId"),
        (body((1, "gpt-4o"), (2, "nobody")), "slots.1.agentId"),
    ],
    ids=["missing", "none", "twice", "slot 7", "unknown agent"],
)
def test_a_wrong_change_is_refused(live: LiveServer, wrong: dict[str, Any], field: str) -> None:
    """The field is named, and everybody stays where they are."""
    with live.client() as client:
        answer = client.put("/v1/slots", json=wrong)

        assert 422 == answer.status_code
        assert [field] == [one["field"] for one in answer.json()["errors"]]
        assert FIRST == pairs(client.get("/v1/slots").json())


def test_a_change_is_json(live: LiveServer) -> None:
    """Another content type is 415, as with every body."""
    with live.client() as client:
        answer = client.put("/v1/slots", content=b"x", headers={"Content-Type": "text/plain"})

    assert 415 == answer.status_code


def test_another_method_is_told_both(live: LiveServer) -> None:
    """405 names every method of the path, of whichever route."""
    with live.client() as client:
        answer = client.post("/v1/slots")

    assert (405, "GET, HEAD, PUT") == (answer.status_code, answer.headers["allow"])


def test_a_change_that_cannot_be_saved_is_not_made(live: LiveServer, tmp_path: Path) -> None:
    """The answer says why, and what is asked for then is what was there before."""
    (tmp_path / SLOTS_FILE / "in the way").mkdir(parents=True)

    with live.client() as client, capture_logs() as logs:
        answer = client.put("/v1/slots", json=body(*OTHER))

        assert 503 == answer.status_code
        assert "could not be saved" in answer.json()["detail"]
        assert FIRST == pairs(client.get("/v1/slots").json())
    assert ["the slots cannot be saved"] == [line["event"] for line in logs]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "EOF"),
        (b'{"slots": []}', "at least 1 item"),
        (b"\xff\xfe", "JSON"),
        (json.dumps(body((1, "retired"))).encode(), "slots.0.agentId: no such agent"),
    ],
    ids=["empty", "no slots", "no JSON", "an agent that is gone"],
)
def test_a_file_that_cannot_be_used_is_told(tmp_path: Path, content: bytes, reason: str) -> None:
    """The agents stand in their order then, and the file stays as it is."""
    (tmp_path / SLOTS_FILE).write_bytes(content)

    with capture_logs() as logs:
        slots = Arrangement(Artifacts(tmp_path), Registry()).slots

    assert FIRST == [(slot.slot_id, slot.agent_id) for slot in slots]
    (line,) = logs
    assert ("warning", True) == (line["log_level"], reason in line["reason"])
    assert content == (tmp_path / SLOTS_FILE).read_bytes()


def test_what_is_saved_is_a_request(live: LiveServer, tmp_path: Path) -> None:
    """The file can be written by hand, or sent again."""
    with live.client() as client:
        client.put("/v1/slots", json=body(*OTHER))

    saved = SlotsRequest.model_validate_json((tmp_path / SLOTS_FILE).read_bytes())

    assert sorted(OTHER) == [(slot.slot_id, slot.agent_id) for slot in saved.slots]


def test_the_memory_of_a_slot_is_that_of_its_agent(live: LiveServer) -> None:
    """It has a pair of messages for each turn, none for another slot, none after a reset."""
    with live.client() as client:
        chat = {"message": "Good evening", **body((1, FIRST[0][1]))}
        with client.stream("POST", "/v1/chat", json=chat) as answer:
            told = list(events(answer.iter_lines()))
        first, other = (client.get(f"/v1/slots/{n}/memory").json()["messages"] for n in (1, 2))
        client.post("/v1/reset")
        after = client.get("/v1/slots/1/memory").json()["messages"]

    assert ["user", "assistant"] == [message["role"] for message in first]
    assert "Good evening" in first[0]["text"]
    assert [data["text"] for name, data in told if name == "slot.done"] == [first[1]["text"]]
    assert ([], []) == (other, after)


@pytest.mark.parametrize("slot_id", ["0", "7", "x"])
def test_there_are_six_memories(live: LiveServer, slot_id: str) -> None:
    """Another slot is a wrong request."""
    with live.client() as client:
        assert 422 == client.get(f"/v1/slots/{slot_id}/memory").status_code
