"""The page of the earlier version speaks to this server unchanged, without a console message."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from backend.config import Settings
from backend.http.app import create_app
from tests.earlier_page import EarlierPage
from tests.live import LiveServer
from tests.recordings import NEEDS_MOONSHINE, RATE, encode, spoken, word_errors

AGENTS = ("claude-sonnet-4-5", "claude-opus-4-5", "gpt-5.2", "gpt-5.1", "gpt-4o", "gemini-3")


@pytest.fixture(params=[False, True], ids=["A", "B"])
def summary(request: pytest.FixtureRequest) -> bool:
    """Return whether there is a turn 4: the page was at first A, later B."""
    return bool(request.param)


@pytest.fixture(params=["none"])
def hearing(request: pytest.FixtureRequest) -> str:
    """Return the hearing engine; most visits are typed."""
    return str(request.param)


@pytest.fixture
def page(tmp_path: Path, summary: bool, hearing: str) -> Iterator[EarlierPage]:
    settings = Settings.load(
        artifacts_dir=tmp_path,
        seed=1,
        summary_turn=summary,
        summary_agent="gpt-4o",
        stt_engine=hearing,
    )
    with LiveServer(create_app(settings, [])) as live, live.client() as client:
        yield EarlierPage(client)


@pytest.mark.e2e
def test_a_visit_leaves_no_console_message(page: EarlierPage, summary: bool) -> None:
    """Every event is one that the page knows; the last one counts the turns; all can be played."""
    told = page.send("What does the water remember?", *AGENTS)

    assert [] == page.warnings
    assert ("turn.start", "done") == (told[0][0], told[-1][0])
    assert told[-1][1]["turns"] == (4 if summary else 3)
    for _, data in [event for event in told if event[0] == "slot.audio"]:
        answer = page.client.get(f"/v1/audio/{data['audioPath']}")
        assert answer.content.startswith(b"RIFF")


@pytest.mark.e2e
def test_the_summary_is_as_the_page_knows_it(page: EarlierPage, summary: bool) -> None:
    """B: one utterance in turn 4, of slot 0; A has no turn 4."""
    page.send("What does the water remember?", *AGENTS)

    common = {"turnIndex": 4, "kind": "summary", "slotId": 0, "agentId": "gpt-4o"}
    for name in ("slot.start", "slot.done", "slot.audio"):
        told = page.of(name, 4)
        assert summary == bool(told)
        assert all(common.items() <= data.items() for data in told)
    assert all(data["text"] and data["voiceProfile"] for data in page.of("slot.done", 4))
    assert [1] * summary == [data["slotCount"] for data in page.of("turn.done", 4)]


@pytest.mark.e2e
@NEEDS_MOONSHINE
@pytest.mark.parametrize("hearing", ["embedded"], indirect=True)
def test_a_visit_by_microphone(page: EarlierPage, tmp_path: Path) -> None:
    """From the recording to `done`: what was said is understood, silence is told in words."""
    said = "Tell me about the sea and the people who live near it."
    recording = spoken(said, tmp_path)

    silence = page.record(encode(np.zeros(RATE), "webm"))
    for container in ("webm", "ogg"):
        understood = page.record(encode(recording, container), container)
        assert word_errors(said, understood)[0] <= 3, understood
    told = page.send(understood, *AGENTS)

    assert "Nothing was understood" in silence
    assert [] == page.warnings
    assert 6 == told[-1][1]["completedSlots"]
