"""The three turns: who speaks, what fails alone, and in which order the world is told."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from backend.agents import (
    Agents,
    CommentSelection,
    Registry,
    Said,
    Slot,
    SpokenResponse,
)
from backend.errors import AgentError, SpeechError
from backend.sessions import Event, SlotAudio, SlotDone, SlotError, SlotStart, TurnDone
from backend.signals import (
    SessionStarted,
    session_finished,
    session_started,
    tts_written,
    turn_finished,
)
from backend.speech import SpeechEngine, Spoken
from backend.speech.children import EmbeddedEngine
from backend.storage import Artifacts
from backend.workflow import Workflow
from tests.patience import LIMIT_S, until

pytestmark = pytest.mark.usefixtures("spoken_once")

SESSION = "20261122T000000Z-00000000"
AGENT_IDS = Registry().ids
VOICE = "calm_soothing"
EventT = TypeVar("EventT", bound=Event)
Trouble = Callable[[], Exception]


class ScriptedAgents(Agents):
    """Answers by a simple script, so that every turn's rule can be set up.

    `troubles` maps (turn, slot) to what goes wrong there; `targets` says who comments on whom.
    """

    def __init__(
        self,
        troubles: dict[tuple[int, int], Trouble] | None = None,
        targets: dict[int, int] | None = None,
        voice: str = VOICE,
    ) -> None:
        self.troubles = troubles or {}
        self.targets = targets or {}
        self.voice = voice
        self.peers: dict[int, Sequence[Said]] = {}
        self.received: dict[int, Sequence[Said]] = {}
        self.said: Sequence[Said] = ()

    def _fail_if_told(self, turn_index: int, slot: Slot) -> None:
        trouble = self.troubles.get((turn_index, slot.slot_id))
        if trouble:
            raise trouble()

    async def respond(self, slot: Slot, message: str, *, seed: int) -> SpokenResponse:
        self._fail_if_told(1, slot)
        return SpokenResponse(text=f"Response {slot.slot_id}.", voice_profile=self.voice)

    async def comment(
        self, slot: Slot, message: str, own: str, peers: Sequence[Said], *, seed: int
    ) -> CommentSelection:
        self.peers[slot.slot_id] = peers
        self._fail_if_told(2, slot)
        target = self.targets.get(slot.slot_id, peers[0].slot_id)
        text = f"Comment {slot.slot_id}."
        return CommentSelection(target_slot_id=target, comment=text, voice_profile=self.voice)

    async def reply(
        self, slot: Slot, message: str, own: str, comments: Sequence[Said], *, seed: int
    ) -> SpokenResponse:
        self.received[slot.slot_id] = comments
        self._fail_if_told(3, slot)
        return SpokenResponse(text=f"Reply {slot.slot_id}.", voice_profile=self.voice)

    async def summarize(
        self, slot: Slot, message: str, said: Sequence[Said], *, seed: int
    ) -> SpokenResponse:
        self.said = said
        self._fail_if_told(4, slot)
        return SpokenResponse(text=f"{slot.agent_id} sums up.", voice_profile=self.voice)


class Muting:
    """The embedded voice, failing for some texts."""

    name = "muting"

    def __init__(self, engine: SpeechEngine, muted: dict[str, Trouble]) -> None:
        self.engine = engine
        self.muted = muted

    def generate_wav_to_file(self, text: str, voice_profile: str, path: Path) -> Spoken:
        if text in self.muted:
            raise self.muted[text]()
        return self.engine.generate_wav_to_file(text, voice_profile, path)

    def check(self) -> str:
        return self.engine.check()

    def close(self) -> None:
        self.engine.close()


class Stage:
    """Runs sessions and keeps all that was told: events and signals, in one journal."""

    def __init__(self, root: Path, executor: ThreadPoolExecutor) -> None:
        self.artifacts = Artifacts(root)
        self.executor = executor
        self.engine = EmbeddedEngine(temporary=self.artifacts.temporary, timeout_s=20)
        self.journal: list[tuple[str, Any]] = []

    @property
    def events(self) -> list[Event]:
        return [entry for _, entry in self.journal if isinstance(entry, Event)]

    def of(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    def targets(self) -> set[int | None]:
        return {done.target_slot_id for done in self.of(SlotDone) if done.turn_index == 2}

    async def run(
        self,
        agents: Agents,
        slot_ids: Sequence[int],
        *,
        muted: dict[str, Trouble] | None = None,
        seed: int | None = 7,
        heard_id: str | None = None,
        keep_message: bool = False,
        **options: Any,
    ) -> None:
        speech = Muting(self.engine, muted or {})
        workflow = Workflow(agents, speech, self.artifacts, self.executor, seed=seed, **options)
        slots = [Slot(number, AGENT_IDS[number - 1]) for number in slot_ids]
        with ExitStack() as connections:
            for signal in (session_started, tts_written, turn_finished, session_finished):
                connections.enter_context(signal.connected_to(self._keep(signal.name)))
            await workflow.run(
                SESSION,
                "canary words",
                slots,
                lambda event: self.journal.append((event.name, event)),
                heard_id=heard_id,
                keep_message=keep_message,
            )

    def _keep(self, name: str) -> Callable[..., None]:
        def keep(_: object, *, event: object) -> None:
            self.journal.append((name, event))

        return keep

    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(
            (self.artifacts.sessions("tts") / SESSION / "session.json").read_text("utf-8")
        )
        return content


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ThreadPoolExecutor(6) as executor:
        yield Stage(tmp_path, executor)


def positions(names: list[str], name: str) -> list[int]:
    return [index for index, entry in enumerate(names) if entry == name]


@pytest.mark.parametrize("slot_ids", [(3,), (2, 5), (1, 2, 3, 4, 5, 6)])
async def test_three_framed_turns_whatever_the_number_of_slots(
    stage: Stage, slot_ids: tuple[int, ...]
) -> None:
    """Each turn starts and ends in order; `done` is last; a lone slot has nobody to talk to."""
    await stage.run(ScriptedAgents(), slot_ids)

    frames = [e.name for e in stage.events if not e.name.startswith("slot.")]
    spoken = [turn.slot_count for turn in stage.of(TurnDone)]
    assert ["session.start", *["turn.start", "turn.done"] * 3, "done"] == frames
    assert stage.events[-1].name == "done"
    first = len(slot_ids)
    assert ([1, 0, 0] if first == 1 else [first, first, len(stage.targets())]) == spoken
    assert {"completedSlots": first, "turns": 3} == _data(stage.events[-1], "sessionId")


def _data(event: Event, *without: str) -> dict[str, Any]:
    return {key: value for key, value in json.loads(event.data()).items() if key not in without}


@pytest.mark.parametrize("agent_id", ["", AGENT_IDS[4]], ids=["first slot", "chosen"])
async def test_a_summary_is_a_fourth_turn_of_one_utterance(stage: Stage, agent_id: str) -> None:
    """One agent sums up all that was said, in order, for no slot; `done` counts it."""
    agents = ScriptedAgents(targets={2: 3, 3: 2})

    await stage.run(agents, (2, 3), summary_agent=agent_id)

    told = [e for e in stage.events if getattr(e, "turn_index", 0) == 4]
    assert ["turn.start", "slot.start", "slot.done", "slot.audio", "turn.done"] == [
        event.name for event in told
    ]
    speaker = agent_id or AGENT_IDS[1]
    common = {"turnIndex": 4, "kind": "summary", "slotId": 0, "agentId": speaker}
    assert common == _data(told[1], "sessionId")
    assert common | {"text": f"{speaker} sums up.", "voiceProfile": VOICE} == _data(
        told[2], "sessionId"
    )
    path = f"tts/sessions/{SESSION}/turn_4/slot-0_summary_{speaker}_{VOICE}.wav"
    assert path == _data(told[3])["audioPath"]
    assert 1 == _data(told[4])["slotCount"]
    assert {"completedSlots": 2, "turns": 4} == _data(stage.events[-1], "sessionId")
    kinds = {"Response": "response", "Comment": "comment", "Reply": "reply"}
    assert [(kinds[text.split()[0]], int(text.split()[1][0])) for text in _texts(agents.said)] == [
        (kind, slot_id) for kind in kinds.values() for slot_id in (2, 3)
    ]
    assert [None, None, 3, 2, None, None] == [one.target_slot_id for one in agents.said]
    started, (*_, last) = (
        [event for name, event in stage.journal if name == wanted]
        for wanted in ("session_started", "tts_written")
    )
    assert 4 == started[0].turns
    assert (4, "summary", 0, f"{speaker} sums up.") == (
        last.turn_index, last.kind, last.slot_id, last.text
    )  # fmt: skip
    assert "summary" == stage.manifest()["utterances"][-1]["kind"]


def _texts(said: Sequence[Said]) -> list[str]:
    return [one.text for one in said]


@pytest.mark.parametrize("failing", ["agent", "speech", "all"])
async def test_a_summary_that_fails_harms_nothing(stage: Stage, failing: str) -> None:
    """It is one `slot.error`, and every slot has completed; after silence there is no summary."""
    trouble: Trouble = lambda: AgentError("no answer in 30 s", type="timeout")  # noqa: E731
    troubles = {"agent": {(4, 0): trouble}, "speech": {}, "all": {(1, 1): trouble, (1, 2): trouble}}
    muted: dict[str, Trouble] = {}
    if failing == "speech":
        muted = {f"{AGENT_IDS[0]} sums up.": lambda: SpeechError("nothing speakable")}

    await stage.run(ScriptedAgents(troubles[failing]), (1, 2), muted=muted, summary_agent="")

    errors = [(one.turn_index, one.slot_id, one.error.type) for one in stage.of(SlotError)]
    expected = {
        "agent": [(4, 0, "timeout")],
        "speech": [(4, 0, "tts_error")],
        "all": [(1, 1, "timeout"), (1, 2, "timeout")],
    }
    assert expected[failing] == errors
    assert (4, 0) == (stage.of(TurnDone)[-1].turn_index, stage.of(TurnDone)[-1].slot_count)
    completed = 0 if failing == "all" else 2
    assert {"completedSlots": completed, "turns": 4} == _data(stage.events[-1], "sessionId")
    assert "finished" == stage.manifest()["status"]


async def test_slot_audio_comes_first_and_tts_written_right_after(stage: Stage) -> None:
    """Nothing stands between an utterance's `slot.audio` and its `tts_written`."""
    await stage.run(ScriptedAgents(), (1, 2, 3))

    names = [name for name, _ in stage.journal]
    assert len(positions(names, "slot.audio")) == 8
    for position in positions(names, "slot.audio"):
        audio, (follower, written) = stage.journal[position][1], stage.journal[position + 1]
        assert "tts_written" == follower
        assert (audio.audio_path, audio.slot_id) == (written.audio_path, written.slot_id)
        assert stage.artifacts.root / audio.audio_path == written.wav_path
        assert written.wav_path.is_file()


async def test_signals_frame_the_session_and_its_turns(stage: Stage) -> None:
    """Subscribers hear of the start, of each turn's end after its last utterance, of the end."""
    await stage.run(ScriptedAgents(), (1, 2))

    names = [name for name, _ in stage.journal]
    assert names.index("session.start") + 1 == names.index("session_started")
    for done, finished in zip(
        positions(names, "turn.done"), positions(names, "turn_finished"), strict=True
    ):
        assert done + 1 == finished
        turn_index = stage.journal[finished][1].turn_index
        written = [e for n, e in stage.journal if n == "tts_written" and e.turn_index == turn_index]
        assert {e.slot_id for e in written} == set(stage.journal[finished][1].spoken_slot_ids)
    assert ["done", "session_finished"] == names[-2:]


async def test_events_carry_the_names_of_the_contract(stage: Stage) -> None:
    """Each event of a slot holds exactly the fields its readers know."""
    await stage.run(ScriptedAgents(), (1, 2))

    common = {"sessionId", "turnIndex", "kind", "slotId", "agentId"}
    said = common | {"text", "voiceProfile"}
    for start in stage.of(SlotStart):
        assert common == _data(start).keys()
    for done in stage.of(SlotDone):
        expected = said | {"targetSlotId"} if done.turn_index == 2 else said
        assert expected == _data(done).keys()
    for audio in stage.of(SlotAudio):
        assert common | {"voiceProfile", "audioFormat", "audioPath"} == _data(audio).keys()


async def test_a_slot_sees_the_others_and_never_itself(stage: Stage) -> None:
    """In turn 2 a slot gets every other valid response."""
    agents = ScriptedAgents()

    await stage.run(agents, (1, 2, 3))

    assert {1: [2, 3], 2: [1, 3], 3: [1, 2]} == {
        slot_id: [peer.slot_id for peer in peers] for slot_id, peers in agents.peers.items()
    }


@pytest.mark.parametrize("turn_index", [1, 2, 3])
async def test_a_failing_agent_touches_nobody_else(stage: Stage, turn_index: int) -> None:
    """A slot that fails in a turn is one `slot.error`; the others' utterances are unchanged."""
    trouble: dict[tuple[int, int], Trouble] = {
        (turn_index, 2): lambda: AgentError("no answer in 30 s", type="timeout")
    }
    targets = {1: 2, 2: 3, 3: 2}
    if turn_index == 1:
        targets = {1: 3, 3: 1}

    await stage.run(ScriptedAgents(trouble, targets), (1, 2, 3))

    (error,) = stage.of(SlotError)
    assert (turn_index, 2, "timeout") == (error.turn_index, error.slot_id, error.error.type)
    spoken = Counter(audio.turn_index for audio in stage.of(SlotAudio))
    assert {1: {1: 2, 2: 2, 3: 2}, 2: {1: 3, 2: 2, 3: 1}, 3: {1: 3, 2: 3, 3: 1}}[
        turn_index
    ] == spoken
    assert {"completedSlots": 2, "turns": 3} == _data(stage.events[-1], "sessionId")
    if turn_index == 1:
        assert {2} == {1, 2, 3} - {
            start.slot_id for start in stage.of(SlotStart) if start.turn_index == 2
        }


@pytest.mark.parametrize("turn_index", [1, 2, 3])
async def test_a_text_that_cannot_be_spoken_was_still_said(stage: Stage, turn_index: int) -> None:
    """Speech that fails is a tts_error without `tts_written`; the slot's text still counts."""
    text = {1: "Response 2.", 2: "Comment 2.", 3: "Reply 2."}[turn_index]
    agents = ScriptedAgents(targets={1: 2, 2: 1, 3: 2})

    await stage.run(agents, (1, 2, 3), muted={text: lambda: SpeechError("nothing speakable")})

    (error,) = stage.of(SlotError)
    assert (turn_index, 2, "tts_error") == (error.turn_index, error.slot_id, error.error.type)
    written = [event for name, event in stage.journal if name == "tts_written"]
    assert (turn_index, 2) not in {(event.turn_index, event.slot_id) for event in written}
    assert {1, 2, 3} == agents.peers.keys()
    assert {1, 2} == agents.received.keys()


@pytest.mark.parametrize("stage_of_failure", ["agent", "speech"])
async def test_an_unexpected_error_is_logged_and_not_told_to_the_visitor(
    stage: Stage, stage_of_failure: str
) -> None:
    """A defect in an agent or an engine is a traceback in the log and a plain `slot.error`."""
    defect: Trouble = lambda: ZeroDivisionError("sk-canary")  # noqa: E731 - a one-word function
    agents = ScriptedAgents({(1, 1): defect} if stage_of_failure == "agent" else {})
    muted = {"Response 1.": defect} if stage_of_failure == "speech" else {}

    with capture_logs() as logs:
        await stage.run(agents, (1, 2), muted=muted)

    (error,) = stage.of(SlotError)
    assert "canary" not in error.data()
    (entry,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert isinstance(entry["exc_info"], ZeroDivisionError)
    assert (SESSION, 1, 1) == (entry["session_id"], entry["turn_index"], entry["slot_id"])


async def test_a_comment_on_somebody_who_is_no_peer_is_refused(stage: Stage) -> None:
    """A comment on itself, or on a slot that is not there, is the commenter's own error."""
    await stage.run(ScriptedAgents(targets={1: 1, 2: 6}), (1, 2, 3))

    assert {(2, 1), (2, 2)} == {(error.turn_index, error.slot_id) for error in stage.of(SlotError)}


async def test_at_most_three_comments_reach_a_target(stage: Stage) -> None:
    """With every comment on one slot, three are drawn, and only that slot replies."""
    agents = ScriptedAgents(targets=dict.fromkeys(range(2, 7), 1) | {1: 2})

    await stage.run(agents, range(1, 7))

    assert {1: 3, 2: 1} == {slot_id: len(comments) for slot_id, comments in agents.received.items()}
    assert 3 == len({comment.slot_id for comment in agents.received[1]})


@pytest.mark.e2e
async def test_which_comments_are_drawn_depends_on_the_seed(stage: Stage) -> None:
    """A seed repeats its draw; other seeds draw others."""
    drawn: dict[int, set[tuple[int, ...]]] = {}
    for seed in (1, 1, 2, 3):
        agents = ScriptedAgents(targets=dict.fromkeys(range(2, 7), 1) | {1: 2})
        await stage.run(agents, range(1, 7), seed=seed)
        drawn.setdefault(seed, set()).add(tuple(c.slot_id for c in agents.received[1]))

    assert 1 == len(drawn[1])
    assert 1 < len(set.union(*drawn.values()))


async def test_an_unknown_voice_is_spoken_in_the_default_one(stage: Stage) -> None:
    """A voice nobody has neither fails the utterance nor reaches a file name."""
    with capture_logs() as logs:
        await stage.run(ScriptedAgents(voice="booming"), (1,))

    (audio,) = stage.of(SlotAudio)
    assert "friendly_casual" == audio.voice_profile
    assert audio.audio_path.endswith("_friendly_casual.wav")
    assert any("booming" in str(entry.values()) for entry in logs)


async def test_the_manifest_has_what_was_spoken_and_no_visitor_words(stage: Stage) -> None:
    """`session.json` lists every utterance with its file, and not what the visitor said."""
    await stage.run(ScriptedAgents(), (1, 2))

    manifest = stage.manifest()
    assert ("finished", 6) == (manifest["status"], len(manifest["utterances"]))
    for utterance in manifest["utterances"]:
        assert (stage.artifacts.root / utterance["audio_path"]).is_file()
        assert utterance["duration_s"] > 0
    assert "canary" not in json.dumps(manifest)


async def test_a_session_tells_which_recording_began_it(stage: Stage) -> None:
    """`session_started` and the manifest have the id of what was heard, and no words."""
    await stage.run(ScriptedAgents(), (1,), heard_id="h-1")

    (started,) = [entry for _, entry in stage.journal if isinstance(entry, SessionStarted)]
    assert ("h-1", None) == (started.heard_id, started.text)
    assert "h-1" == stage.manifest()["heard_id"]


async def test_words_are_included_where_they_are_asked_for(stage: Stage) -> None:
    """With `include_text` the signal of the start has them; the manifest has them never."""
    await stage.run(ScriptedAgents(), (1,), include_text=lambda: True)

    (started,) = [entry for _, entry in stage.journal if isinstance(entry, SessionStarted)]
    assert (None, "canary words") == (started.heard_id, started.text)
    assert "canary" not in json.dumps(stage.manifest())


async def test_a_manifest_without_texts(stage: Stage) -> None:
    """Without `keep_texts` it has every utterance with an empty text, and no rehearsed message."""
    await stage.run(ScriptedAgents(), (1, 2), keep_texts=False, keep_message=True)

    assert [""] * 6 == [utterance["text"] for utterance in stage.manifest()["utterances"]]
    assert stage.manifest()["message"] is None
    assert all(said.text for said in stage.of(SlotDone))


async def test_an_interrupted_session_still_says_done(stage: Stage) -> None:
    """A session that the host ends says `done`, with nobody completed; its manifest tells both."""
    asked = asyncio.Event()

    class Waiting(ScriptedAgents):
        async def respond(self, slot: Slot, message: str, *, seed: int) -> SpokenResponse:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    task = asyncio.create_task(stage.run(Waiting(), (1, 2)))
    await asyncio.wait_for(asked.wait(), LIMIT_S)
    manifest = stage.artifacts.sessions("tts") / SESSION / "session.json"
    await asyncio.to_thread(until, manifest.exists, "a manifest")
    before = stage.manifest()["status"]

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert "running" == before
    assert {"completedSlots": 0, "turns": 3} == _data(stage.events[-1], "sessionId")
    assert "session_finished" == stage.journal[-1][0]
    assert "interrupted" == stage.manifest()["status"]


async def test_a_manifest_that_cannot_be_written_does_not_stop_the_session(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs the manifest, is logged, and the visitor gets all three turns."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("backend.workflow.save", full)

    with capture_logs() as logs:
        await stage.run(ScriptedAgents(), (1, 2))

    assert 6 == len(stage.of(SlotAudio))
    assert {"the manifest could not be written"} == {
        entry["event"] for entry in logs if entry["log_level"] == "error"
    }


async def test_the_global_generator_is_not_reseeded(stage: Stage) -> None:
    """A seeded session leaves the process's random numbers alone."""
    random.seed(5)
    expected = random.random()
    random.seed(5)

    await stage.run(ScriptedAgents(), (1, 2), seed=1)

    assert expected == random.random()
