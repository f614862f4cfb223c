"""The HTTP contract: a session's events, the agents, health, reset, CORS, and who may leave."""

import json
import re
from pathlib import Path

import pytest

from backend.agents.registry import DEFAULT_PROFILES
from backend.config import Settings
from backend.errors import SpeechError
from backend.http.app import MAX_BODY_BYTES, RETRY_AFTER_S, create_app
from backend.plugins import Discovered, Host, Plugin, PluginSettings
from backend.speech.children import EmbeddedEngine
from tests.backend.conftest import WEB_CLIENT, Gate
from tests.live import (
    LiveServer,
    Sequence,
    chat,
    chat_body,
    chunks,
    events,
    get,
    leave_after,
    post,
)

pytestmark = pytest.mark.usefixtures("spoken_once")

SLOT = {"sessionId", "turnIndex", "kind", "slotId", "agentId"}
FIELDS = {
    "session.start": {"sessionId"},
    "turn.start": {"sessionId", "turnIndex"},
    "slot.start": SLOT,
    "slot.done": SLOT | {"text", "voiceProfile"},
    "slot.audio": SLOT | {"voiceProfile", "audioFormat", "audioPath"},
    "slot.error": SLOT | {"error"},
    "turn.done": {"sessionId", "turnIndex", "slotCount"},
    "done": {"sessionId", "completedSlots", "turns"},
}
KINDS = {1: "response", 2: "comment", 3: "reply"}
FRAME = re.compile(rb"event: ([a-z.]+)\ndata: (\{[^\n]*\})\n\n")


@pytest.fixture(scope="module", params=[(1,), (2, 5), (1, 2, 3, 4, 5, 6)], ids=["1", "2", "6"])
def session(request: pytest.FixtureRequest, server: LiveServer) -> tuple[tuple[int, ...], Sequence]:
    """Return the slots and the events of one whole session."""
    return request.param, chat(server, *request.param)


def of_turn(events: Sequence, turn_index: int) -> Sequence:
    """Return the events of one turn."""
    return [(name, data) for name, data in events if data.get("turnIndex") == turn_index]


def test_every_event_has_exactly_its_fields(session: tuple[tuple[int, ...], Sequence]) -> None:
    """An event carries its contract's fields and nothing else; a comment has its target too."""
    _, events = session

    for name, data in events:
        is_comment = name == "slot.done" and data["turnIndex"] == 2
        expected = FIELDS[name] | ({"targetSlotId"} if is_comment else set())
        assert expected == data.keys(), name


def test_the_frames_of_a_session_come_in_order(
    session: tuple[tuple[int, ...], Sequence],
) -> None:
    """A session starts once, frames three turns whether anybody speaks or not, and is done once."""
    _, events = session

    frames = [(name, data.get("turnIndex")) for name, data in events if "slot." not in name]

    turns = [(name, turn) for turn in (1, 2, 3) for name in ("turn.start", "turn.done")]
    assert [("session.start", None), *turns, ("done", None)] == frames
    assert 1 == len({data["sessionId"] for _, data in events})


def test_slots_speak_inside_their_turn_and_in_their_own_order(
    session: tuple[tuple[int, ...], Sequence],
) -> None:
    """A slot starts, is done and is heard, all between the two frames of its turn."""
    slots, events = session
    replying = {data["targetSlotId"] for name, data in events if "targetSlotId" in data}
    speaking = {1: set(slots), 2: set(slots) if len(slots) > 1 else set(), 3: replying}

    for turn_index, kind in KINDS.items():
        (first, _), *middle, (last, closing) = of_turn(events, turn_index)
        assert ("turn.start", "turn.done") == (first, last)
        assert len(speaking[turn_index]) == closing["slotCount"]
        assert speaking[turn_index] == {data["slotId"] for _, data in middle}
        assert all(kind == data["kind"] for _, data in middle)
        for slot_id in speaking[turn_index]:
            own = [name for name, data in middle if data["slotId"] == slot_id]
            assert ["slot.start", "slot.done", "slot.audio"] == own


def test_a_comment_is_on_somebody_else(session: tuple[tuple[int, ...], Sequence]) -> None:
    """In turn 2 every target is a slot of the session and never the commenting one."""
    slots, events = session

    for _, data in [event for event in events if "targetSlotId" in event[1]]:
        assert data["targetSlotId"] in set(slots) - {data["slotId"]}


def test_done_counts_the_slots(session: tuple[tuple[int, ...], Sequence]) -> None:
    """The last event says how many slots came through, and that there were three turns."""
    slots, events = session

    name, data = events[-1]

    assert ("done", len(slots), 3) == (name, data["completedSlots"], data["turns"])


def test_announced_audio_is_there_at_once(
    session: tuple[tuple[int, ...], Sequence], server: LiveServer
) -> None:
    """Each audioPath is a WAV of the documented name below /v1/audio."""
    _, events = session
    announced = [data for name, data in events if name == "slot.audio"]
    targets = {data["slotId"]: data["targetSlotId"] for _, data in events if "targetSlotId" in data}

    with server.client() as client:
        for data in announced:
            middle = {1: "", 2: f"comment_to_slot-{targets.get(data['slotId'])}_", 3: "reply_"}
            turn = data["turnIndex"]
            expected = (
                f"tts/sessions/{data['sessionId']}/turn_{turn}/slot-{data['slotId']}_"
                f"{middle[turn]}{data['agentId']}_{data['voiceProfile']}.wav"
            )
            assert ("wav", expected) == (data["audioFormat"], data["audioPath"])
            answer = client.get(f"/v1/audio/{data['audioPath']}")
            assert (200, "audio/wav") == (answer.status_code, answer.headers["content-type"])
            assert answer.content.startswith(b"RIFF")


def test_every_event_is_one_chunk_of_two_lines(server: LiveServer) -> None:
    """On the wire an event is `event:` then `data:` and an empty line, all in one chunk."""
    body = json.dumps(chat_body(1, 2)).encode()

    answer = post(server.port, "/v1/chat", body, "Content-Type: application/json")

    matches = [FRAME.fullmatch(chunk) for chunk in chunks(answer.body)]
    names = [match[1].decode() for match in matches if match]
    assert len(names) == len(matches)
    assert ("session.start", "done") == (names[0], names[-1])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "no-store" == answer.headers["cache-control"]
    assert "chunked" == answer.headers["transfer-encoding"]


def test_a_session_has_its_id_in_the_header_and_starts_aloud_only_for_who_asks(
    server: LiveServer,
) -> None:
    """Without `sessionStart` the stream is the same from its second event on; both name the id."""
    streams = {}
    for asks in (True, False):
        body = json.dumps(chat_body(1) | {"sessionStart": asks}).encode()
        answer = post(server.port, "/v1/chat", body, "Content-Type: application/json")
        told = list(events(b"".join(chunks(answer.body)).decode().splitlines()))
        assert {answer.headers["x-session-id"]} == {data["sessionId"] for _, data in told}
        streams[asks] = [name for name, _ in told]

    assert ["session.start", *streams[False]] == streams[True]
    assert "turn.start" == streams[False][0]


def test_a_web_page_can_read_the_session_id(server: LiveServer) -> None:
    """The header is exposed to the origins that are admitted."""
    with server.client() as client:
        answer = client.post("/v1/chat", json=chat_body(1), headers={"Origin": WEB_CLIENT})

    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert {"x-session-id", "retry-after", "etag", "content-range"} == set(exposed)


def test_text_travels_as_it_is(server: LiveServer) -> None:
    """A message in other scripts, with quotes and line breaks, runs a session like any other."""
    message = 'Привет 水 🌊 "quoted"\nwater\u2028'

    events = chat(server, 3, message=message)

    assert "done" == events[-1][0]
    assert 1 == events[-1][1]["completedSlots"]


@pytest.mark.parametrize("message", ["w", "w" * 2000, "  " + "w" * 2000 + "\n"])
def test_a_message_has_1_to_2000_characters(server: LiveServer, message: str) -> None:
    """Both ends of the range are answered; blanks around the words do not count."""
    assert "done" == chat(server, 1, message=message)[-1][0]


def test_agents_are_listed_in_order(server: LiveServer) -> None:
    """/v1/agents shows id, name, provider, description and color of each agent."""
    with server.client() as client:
        listed = client.get("/v1/agents").json()["agents"]

    shown = ("id", "name", "provider", "description", "color")
    expected = [{name: getattr(agent, name) for name in shown} for agent in DEFAULT_PROFILES]
    assert expected == [{name: agent[name] for name in shown} for agent in listed]


def test_agents_show_how_they_are(server: LiveServer) -> None:
    """/v1/agents tells that no agent has its key here, and that the rehearsal answers for them."""
    chat(server, 2)

    with server.client() as client:
        listed = {agent["id"]: agent for agent in client.get("/v1/agents").json()["agents"]}

    assert {("no key", True)} == {(one["state"], one["rehearses"]) for one in listed.values()}
    assert "rehearsal" == listed["gpt-5.2"]["answeredBy"]
    assert {None} == {agent["failingSince"] for agent in listed.values()}


def test_the_default_agents_are_the_six(server: LiveServer) -> None:
    """The web client and TouchDesigner rely on these ids."""
    with server.client() as client:
        ids = [agent["id"] for agent in client.get("/v1/agents").json()["agents"]]

    assert sorted(ids) == sorted(
        ["claude-sonnet-4-5", "claude-opus-4-5", "gpt-5.2", "gpt-5.1", "gpt-4o", "gemini-3"]
    )


def test_health_says_ok(server: LiveServer) -> None:
    """Liveness is one constant."""
    with server.client() as client:
        assert {"status": "ok"} == client.get("/v1/health").json()


def test_ready_without_plugins(server: LiveServer) -> None:
    """A host without plugins is ready."""
    with server.client() as client:
        answer = client.get("/v1/health/ready").json()

    hearing, speech = answer.pop("hearing"), answer.pop("speech")
    assert {"status": "ready", "plugins": {}} == answer
    assert {"state": "ok", "reason": ""} == speech
    assert {"state": "disabled", "reason": "hearing is turned off: RR_STT_ENGINE=none"} == hearing


def test_ready_knows_of_speech_that_failed(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state and its reason are those of the last utterance."""

    def fail(*_: object) -> None:
        raise SpeechError("the disk is full")

    def ready() -> tuple[str, str, str]:
        answer = client.get("/v1/health/ready").json()
        return answer["status"], answer["speech"]["state"], answer["speech"]["reason"]

    with server.client() as client:
        with monkeypatch.context() as patch:
            patch.setattr(EmbeddedEngine, "generate_wav_to_file", fail)
            chat(server, 1)
        mute = ready()
        chat(server, 1)

        assert ("degraded", "degraded", "the disk is full") == mute
        assert ("ready", "ok", "") == ready()


def test_ready_shows_a_broken_plugin(tmp_path: Path) -> None:
    """A plugin that could not be loaded is named with its reason; sessions are accepted."""
    settings = Settings(artifacts_dir=tmp_path)
    broken = Discovered("tides", None, "ImportError: no moon")

    with LiveServer(create_app(settings, [broken])) as live, live.client() as client:
        answer = client.get("/v1/health/ready")

    expected = {"tides": {"state": "failed", "reason": "ImportError: no moon"}}
    assert (200, "degraded") == (answer.status_code, answer.json()["status"])
    assert expected == answer.json()["plugins"]


def test_a_plugins_routes_that_cannot_be_imported_degrade_it(tmp_path: Path) -> None:
    """Routes that fail are shown in the state of their plugin; the server starts without them."""

    class Lifespan:
        async def __aenter__(self) -> None: ...

        async def __aexit__(self, *_: object) -> None: ...

    def lifespan(host: Host, settings: object) -> Lifespan:
        return Lifespan()

    plugin = Plugin("tides", PluginSettings, lifespan, router="no.such.module:router")
    settings = Settings(artifacts_dir=tmp_path)

    app = create_app(settings, [Discovered("tides", plugin)])
    with LiveServer(app) as live, live.client() as client:
        state = client.get("/v1/health/ready").json()["plugins"]["tides"]["state"]
        health = client.get("/v1/health").status_code

    assert ("degraded", 200) == (state, health)


def test_reset_forgets_each_conversation_once(server: LiveServer) -> None:
    """Reset tells which slots had a conversation; after it none has."""
    with server.client() as client:
        client.post("/v1/reset")
        chat(server, 2, 6)

        first = client.post("/v1/reset").json()
        second = client.post("/v1/reset").json()

    assert {"status": "ok", "clearedSlots": [2, 6]} == first
    assert {"status": "ok", "clearedSlots": []} == second


def test_a_listed_origin_may_call(server: LiveServer) -> None:
    """A web client from RR_CORS_ORIGINS passes the preflight and reads the answer."""
    asked = {"Origin": WEB_CLIENT, "Access-Control-Request-Method": "POST"}
    with server.client() as client:
        preflight = client.options(
            "/v1/chat", headers={**asked, "Access-Control-Request-Headers": "content-type"}
        )
        answer = client.get("/v1/agents", headers={"Origin": WEB_CLIENT})
        problem = client.get("/v1/nothing", headers={"Origin": WEB_CLIENT})
        large = client.post(
            "/v1/chat", content=b" " * (MAX_BODY_BYTES + 1), headers={"Origin": WEB_CLIENT}
        )

    assert 200 == preflight.status_code
    for response in (preflight, answer, problem, large):
        assert WEB_CLIENT == response.headers["access-control-allow-origin"]


def test_another_origin_may_not(server: LiveServer) -> None:
    """An origin that is not listed gets no permission, and may read why."""
    asked = {"Origin": "http://elsewhere.example", "Access-Control-Request-Method": "POST"}
    with server.client() as client:
        preflight = client.options("/v1/chat", headers=asked)
        answer = client.get("/v1/agents", headers={"Origin": "http://elsewhere.example"})

    assert (403, 403) == (preflight.status_code, answer.status_code)
    assert "*" == answer.headers["access-control-allow-origin"]
    assert "RR_CORS_ORIGINS" in answer.json()["detail"]


def test_too_many_sessions_are_told_to_come_back(tmp_path: Path, gate: Gate) -> None:
    """One session above the limit gets 503 with Retry-After; a free place is taken again."""
    settings = Settings(artifacts_dir=tmp_path, max_sessions=1, seed=1)

    with LiveServer(create_app(settings, [])) as live, live.client() as client:
        leave_after(live, 3, 1)
        refused = client.post("/v1/chat", json=chat_body(1, message="xqcanary"))
        gate.opened.set()
        live.settle()
        accepted = chat(live, 1)

    assert (503, str(RETRY_AFTER_S)) == (refused.status_code, refused.headers["retry-after"])
    assert "application/problem+json" == refused.headers["content-type"]
    assert b"xqcanary" not in refused.content
    assert "done" == accepted[-1][0]


def test_each_event_comes_when_it_happens(tmp_path: Path, gate: Gate) -> None:
    """What an agent says is read while its speech is still being made."""
    settings = Settings(artifacts_dir=tmp_path, seed=1)

    with LiveServer(create_app(settings, [])) as live:
        received = leave_after(live, 4, 1)
        gate.opened.set()
        live.settle()

    assert "event: slot.done" in received
    assert "event: slot.audio" not in received


def test_the_openapi_document_names_the_routes(server: LiveServer) -> None:
    """The contract can be read from the server itself."""
    document = json.loads(get(server.port, "/v1/openapi.json").body)

    assert {
        "/v1/chat",
        "/v1/agents",
        "/v1/login",
        "/v1/logout",
        "/v1/health",
        "/v1/health/ready",
        "/v1/plugins/{name}",
        "/v1/reset",
        "/v1/logs",
        "/v1/settings",
        "/v1/doctor",
        "/v1/voices",
        "/v1/voices/try",
        "/v1/slots",
        "/v1/slots/{slotId}/memory",
        "/v1/stt",
        "/v1/audio/{path}",
    } == document["paths"].keys()
