"""The show of the earlier version plays a real session, told in its own dialect."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile as sf

from backend.config import Settings
from backend.http.app import create_app
from tests.live import Data, LiveServer, chat
from tests.plugins.show.earlier_show import BETWEEN_DIALOGUES_MS, PAUSE_MS, SOUND, EarlierShow
from tests.plugins.show.listening import Listener, found

pytestmark = pytest.mark.e2e

HELLO = json.dumps({"type": "hello", "client": "touchdesigner", "version": "1.0"})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[LiveServer]:
    """Return a server that speaks the original dialect unless it is asked for another."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RR_WAVES_BACKFILL_INTERVAL_S", "0")
        patch.setenv("RR_SHOW_HEARTBEAT_S", "0.1")
        patch.setenv("RR_SHOW_DIALECT", "original")
        patch.setenv("RR_MOOD_ENABLED", "true")
        settings = Settings(artifacts_dir=root, seed=1, summary_turn=True)
        with LiveServer(create_app(settings, found("waves", "show", "mood"))) as live:
            yield live


@pytest.fixture(scope="module")
def visit(server: LiveServer) -> tuple[str, list[str], list[Data]]:
    """Return the text of the summary, and what clients of both dialects were told."""
    with Listener(server, silent=True) as earlier, Listener(server, dialect="standard") as ours:
        earlier.say(HELLO)
        heard = chat(server, 1, 2, 6, message="I love the sea.")
        told = ours.events()
        ours.wait_for("heartbeat")
        earlier.say(HELLO)
        texts = [str(earlier.socket.recv(10))]
        while len(texts) < 2 or json.loads(texts[-1])["type"] != "hello.ack":
            texts.append(str(earlier.socket.recv(10)))
    (summary,) = [d["text"] for name, d in heard if name == "slot.done" and d["turnIndex"] == 4]
    return summary, texts, told


def payloads(texts: list[str], kind: str) -> list[Data]:
    """Return the payloads of the messages of a type."""
    return [one["payload"] for one in map(json.loads, texts) if one["type"] == kind]


def test_only_known_messages_are_sent_and_numbered(
    visit: tuple[str, list[str], list[Data]],
) -> None:
    """Between two hellos come the mood, turn 1, the dialogues and the summary, and no heartbeat."""
    _, (first, *between, last), ours = visit
    messages = list(map(json.loads, between))
    replies = [e["payload"]["slotId"] for e in ours if e["type"] == "dialogue.waves.ready"]

    assert ["hello.ack"] * 2 == [json.loads(text)["type"] for text in (first, last)]
    assert list(range(1, len(messages) + 1)) == [message["seq"] for message in messages]
    assert sorted(
        [
            *("user_sentiment", "turn1.waves.ready", "final_summary.ready"),
            *(["dialogue.waves.ready"] * len(replies)),
        ]
    ) == sorted(message["type"] for message in messages)
    assert "final_summary.ready" == messages[-1]["type"]
    assert 1 == len({message["sessionId"] for message in (*messages, *ours)})
    assert ("session.expected", 4) == (ours[0]["type"], ours[0]["payload"]["turns"])
    (mood,) = payloads(between, "user_sentiment")
    assert "positive" == mood["sentiment"]


def test_the_messages_hold_what_ours_do(
    visit: tuple[str, list[str], list[Data]], root: Path
) -> None:
    """Turn, dialogues and summary name the waves of the same utterances, by both paths."""
    summary, texts, ours = visit
    ready = {
        (e["payload"]["turnIndex"], e["payload"]["slotId"]): e["payload"]
        for e in ours
        if e["type"] == "utterance.waves.ready"
    }

    def check(one: Data, turn: int) -> None:
        utterance = ready[turn, one["slotId"]]
        first, second, _ = (wave["path"] for wave in utterance["waves"])
        assert (first, second) == (one["wave1PathAbs"], one["wave2PathAbs"])
        assert [Path(first), Path(second)] == [
            root / one["wave1PathRel"],
            root / one["wave2PathRel"],
        ]
        assert one["slotId"] == one["wave1TargetSlotId"]
        assert {1: 2, 2: 3, 6: 1}[one["slotId"]] == one["wave2TargetSlotId"]
        assert utterance["durationMs"] == one["durationMs"]

    (turn,) = payloads(texts, "turn1.waves.ready")
    assert {"turnIndex": 1, "status": "complete", "slotsExpected": 3, "slotsReady": 3} == {
        key: turn[key] for key in ("turnIndex", "status", "slotsExpected", "slotsReady")
    }
    assert [1, 2, 6] == [one["slotId"] for one in turn["slots"]]
    assert [] == turn["missingSlotIds"]
    for one in turn["slots"]:
        check(one, 1)
    for dialogue in payloads(texts, "dialogue.waves.ready"):
        slot = dialogue["targetSlotId"]
        assert (f"turn23-slot{slot}", [2, 3]) == (dialogue["dialogueId"], dialogue["turns"])
        check(dialogue["respondent"], 3)
        for one in dialogue["commenters"]:
            check(one, 2)
            assert slot == ready[2, one["slotId"]]["targetSlotId"]
    (final,) = payloads(texts, "final_summary.ready")
    assert ("complete", summary) == (final["status"], final["text"])
    assert [1, 2, 3, 4, 5, 6] == [wave["slotId"] for wave in final["waveInfo"]["waves"]]
    assert ready[4, 0]["voiceProfile"] == final["waveInfo"]["voiceProfile"]


def test_the_script_plays_the_session(visit: tuple[str, list[str], list[Data]]) -> None:
    """Turn 1 slot by slot, then the dialogues, then the summary in all six; nothing twice."""
    _, texts, _ = visit
    show = EarlierShow()
    for text in (*texts, *texts):
        show.receive(text)
    show.advance()

    expected: list[Any] = [(0.0, (slot, "A"), SOUND) for slot in range(1, 7)]
    at = 0.0

    def expect(one: Data) -> float:
        slot = one["slotId"]
        expected.append((at, (slot, "A"), one["wave1PathAbs"]))
        expected.append((at, (slot % 6 + 1, "B"), one["wave2PathAbs"]))
        frames, rate = sf.info(one["wave1PathAbs"]).frames, sf.info(one["wave2PathAbs"]).samplerate
        assert (8000, one["durationMs"]) == (rate, round(frames / 8))
        return float(one["durationMs"]) + PAUSE_MS

    for one in payloads(texts, "turn1.waves.ready")[0]["slots"]:
        at += expect(one)
    for dialogue in payloads(texts, "dialogue.waves.ready"):
        for one in (*dialogue["commenters"], dialogue["respondent"]):
            at += expect(one)
        at += BETWEEN_DIALOGUES_MS
    for wave in payloads(texts, "final_summary.ready")[0]["waveInfo"]["waves"]:
        assert Path(wave["wavePathAbs"]).is_file()
        expected.append((at, (wave["slotId"], "A"), wave["wavePathAbs"]))
    assert expected == show.starts()


def test_a_client_that_asks_gets_what_it_missed(
    visit: tuple[str, list[str], list[Data]], server: LiveServer
) -> None:
    """A hello with a cursor is answered with what is kept; so it is in the standard dialect."""
    _, (_, *between, _), ours = visit
    with Listener(server, 0, dialect="original") as listener:
        assert {"type", "server", "version"} == listener.ack.keys()
        assert [json.loads(text) for text in between] == [listener.next() for _ in between]
    with Listener(server, 0, dialect="standard") as listener:
        assert ours == listener.take(len(ours))
