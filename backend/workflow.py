"""The turns of a session, its events and its signals.

    turn 1  response   every slot answers the visitor
    turn 2  comment    a slot with a valid response comments on exactly one other's
    turn 3  reply      a slot that was commented on replies, to at most three comments
    turn 4  summary    one agent sums up what was said, if that is switched on

An utterance is the agent's text (`slot.done`), then its speech (`slot.audio` and, right next to it,
the signal `tts_written`). A slot that fails at either is a `slot.error` and affects no other one; a
response that could not be spoken was still given, so its slot goes on to turn 2.
"""

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from backend.agents import Agents, CommentSelection, Said, Slot, SpokenResponse
from backend.errors import AgentError, SlotErrorType, SpeechError
from backend.sessions import (
    Done,
    Event,
    Manifest,
    SessionStart,
    SlotAudio,
    SlotDone,
    SlotError,
    SlotProblem,
    SlotStart,
    TurnDone,
    TurnStart,
    Utterance,
    save,
)
from backend.signals import (
    SUMMARY_SLOT,
    TURN_KINDS,
    SessionFinished,
    SessionStarted,
    TtsWritten,
    TurnFinished,
    emit,
    session_finished,
    session_started,
    tts_written,
    turn_finished,
)
from backend.speech import SpeechEngine, resolve_profile
from backend.storage import Artifacts, SpeechName

log = structlog.get_logger(__name__)

COMMENTS_PER_TARGET = 3
"""Comments that reach turn 3; of more, this many are chosen at random."""

Publish = Callable[[Event], None]
Answer = Callable[[Slot], Awaitable[SpokenResponse | CommentSelection]]


@dataclass(slots=True)
class _Session:
    """The state of one session."""

    id: str
    message: str
    slots: Sequence[Slot]
    seed: int
    publish: Publish
    manifest: Manifest
    failed: set[int] = field(default_factory=set)
    saving: threading.Lock = field(default_factory=threading.Lock)
    """Held while the manifest is written: an earlier state never replaces a later one."""


class Workflow:
    """Runs any number of sessions at the same time.

    Speech and files are written on the threads of `executor`. A `seed` makes sessions repeatable;
    without it each draws its own. `include_text()` says whether the visitor's words stand in
    `session_started`; without `keep_texts` the manifest has no texts. `summary_agent` speaks in
    turn 4, "" being the agent of the first slot; if it is None, there is no turn 4.
    """

    def __init__(
        self,
        agents: Agents,
        speech: SpeechEngine,
        artifacts: Artifacts,
        executor: Executor,
        seed: int | None = None,
        *,
        include_text: Callable[[], bool] = bool,
        keep_texts: bool = True,
        summary_agent: str | None = None,
    ) -> None:
        self._agents = agents
        self._speech = speech
        self._artifacts = artifacts
        self._executor = executor
        self._seed = seed
        self._include_text = include_text
        self._keep_texts = keep_texts
        self._summary_agent = summary_agent
        self.speech_problem = ""
        """Why the last utterance has no speech; empty if it has."""
        self._turns = 3 if summary_agent is None else 4

    async def run(
        self,
        session_id: str,
        message: str,
        slots: Sequence[Slot],
        publish: Publish,
        *,
        heard_id: str | None = None,
        keep_message: bool = False,
    ) -> None:
        """Run the turns; `publish` gets every event, `done` last, whatever happens."""
        started_at = _now()
        seed = random.getrandbits(62) if self._seed is None else self._seed
        session = _Session(
            id=session_id,
            message=message,
            slots=slots,
            seed=seed,
            publish=publish,
            manifest=Manifest(
                session_id,
                {s.slot_id: s.agent_id for s in slots},
                started_at.isoformat(),
                heard_id=heard_id,
                seed=seed,
                message=message if keep_message else None,
            ),
        )
        publish(SessionStart(session_id=session_id))
        emit(
            session_started,
            self,
            SessionStarted(
                session_id,
                tuple(slot.slot_id for slot in slots),
                started_at,
                heard_id,
                message if self._include_text() else None,
                self._turns,
                seed,
            ),
        )
        try:
            responses = await self._responses(session)
            comments = await self._comments(session, responses)
            await self._replies(session, responses, comments)
            if self._summary_agent is not None:
                await self._summary(session, self._summary_agent or slots[0].agent_id)
            session.manifest.status = "finished"
        finally:
            await self._finish(session)

    async def _responses(self, session: _Session) -> dict[int, Utterance]:
        async def answer(slot: Slot) -> SpokenResponse:
            return await self._agents.respond(slot, session.message, seed=session.seed)

        return await self._turn(session, 1, session.slots, answer)

    async def _comments(
        self, session: _Session, responses: dict[int, Utterance]
    ) -> dict[int, Utterance]:
        async def answer(slot: Slot) -> CommentSelection:
            peers = [_said(other) for other in responses.values() if other.slot_id != slot.slot_id]
            own = responses[slot.slot_id].text
            chosen = await self._agents.comment(
                slot, session.message, own, peers, seed=session.seed
            )
            if chosen.target_slot_id not in {peer.slot_id for peer in peers}:
                raise AgentError(
                    f"the comment is on slot {chosen.target_slot_id}, which is not a peer"
                )
            return chosen

        able = [slot for slot in session.slots if slot.slot_id in responses]
        return await self._turn(session, 2, able if len(able) > 1 else [], answer)

    async def _replies(
        self, session: _Session, responses: dict[int, Utterance], comments: dict[int, Utterance]
    ) -> None:
        received = _draw_comments(comments, random.Random(session.seed))  # noqa: S311 - no secret

        async def answer(slot: Slot) -> SpokenResponse:
            own, about = responses[slot.slot_id].text, received[slot.slot_id]
            return await self._agents.reply(slot, session.message, own, about, seed=session.seed)

        able = [slot for slot in session.slots if slot.slot_id in received]
        await self._turn(session, 3, able, answer)

    async def _summary(self, session: _Session, agent_id: str) -> None:
        spoken = sorted(session.manifest.utterances, key=lambda one: (one.turn_index, one.slot_id))
        said = [_said(one) for one in spoken]

        async def answer(slot: Slot) -> SpokenResponse:
            return await self._agents.summarize(slot, session.message, said, seed=session.seed)

        await self._turn(session, 4, [Slot(SUMMARY_SLOT, agent_id)] if said else [], answer)

    async def _turn(
        self, session: _Session, turn_index: int, slots: Sequence[Slot], answer: Answer
    ) -> dict[int, Utterance]:
        """Let `slots` speak at the same time; return the utterances in the order of the slots."""
        session.publish(TurnStart(session_id=session.id, turn_index=turn_index))
        async with asyncio.TaskGroup() as group:
            if turn_index == 1:
                group.create_task(self._save(session))  # as running, whatever ends the host
            tasks = [
                group.create_task(self._speak(session, turn_index, slot, answer)) for slot in slots
            ]
        said = [utterance for task in tasks if (utterance := task.result()) is not None]
        spoken = tuple(utterance.slot_id for utterance in said if utterance.audio_path is not None)
        await self._save(session)
        session.publish(
            TurnDone(session_id=session.id, turn_index=turn_index, slot_count=len(spoken))
        )
        emit(turn_finished, self, TurnFinished(session.id, turn_index, spoken, _now()))
        return {utterance.slot_id: utterance for utterance in said}

    async def _speak(
        self, session: _Session, turn_index: int, slot: Slot, answer: Answer
    ) -> Utterance | None:
        """Ask one agent and speak its answer; None if it gave none."""
        where: dict[str, Any] = {
            "session_id": session.id,
            "turn_index": turn_index,
            "kind": TURN_KINDS[turn_index],
            "slot_id": slot.slot_id,
            "agent_id": slot.agent_id,
        }

        def fail(error_type: SlotErrorType, error: Exception) -> str:
            session.failed.add(slot.slot_id)
            unexpected = not isinstance(error, AgentError | SpeechError)
            message = "internal error, see the log" if unexpected else str(error)
            log.error(
                "slot failed",
                type=error_type,
                exc_info=error if unexpected else None,
                reason=message,
                **where,
            )
            problem = SlotProblem(type=error_type, message=message)
            session.publish(SlotError(**where, error=problem))
            return message

        session.publish(SlotStart(**where))
        try:
            utterance = _utterance(turn_index, slot, await answer(slot))
        except Exception as error:  # noqa: BLE001 - one slot's failure affects no other
            fail(error.type if isinstance(error, AgentError) else "unknown", error)
            return None
        session.manifest.utterances.append(utterance)
        spoken = where | {"voice_profile": utterance.voice_profile}
        target = utterance.target_slot_id
        session.publish(SlotDone(**spoken, text=utterance.text, target_slot_id=target))
        try:
            wav_path = await self._write_wav(session, utterance)
        except Exception as error:  # noqa: BLE001 - as above
            self.speech_problem = fail("tts_error", error)
            return utterance
        self.speech_problem = ""
        written_at = _now()
        utterance.audio_path = spoken["audio_path"] = self._artifacts.relative(wav_path)
        utterance.written_at = written_at.isoformat()
        session.publish(SlotAudio(**spoken))
        payload = TtsWritten(
            **spoken,
            target_slot_id=target,
            wav_path=wav_path,
            written_at=written_at,
            text=utterance.text,
        )
        emit(tts_written, self, payload)
        return utterance

    async def _write_wav(self, session: _Session, utterance: Utterance) -> Path:
        name = SpeechName(
            utterance.slot_id,
            utterance.kind,
            utterance.agent_id,
            utterance.voice_profile,
            utterance.target_slot_id,
        )
        wav_path = self._artifacts.turn("tts", session.id, utterance.turn_index) / str(name)
        spoken = await asyncio.get_running_loop().run_in_executor(
            self._executor,
            self._speech.generate_wav_to_file,
            utterance.text,
            utterance.voice_profile,
            wav_path,
        )
        utterance.duration_s = round(spoken.duration_s, 3)
        return wav_path

    async def _finish(self, session: _Session) -> None:
        completed = tuple(s.slot_id for s in session.slots if s.slot_id not in session.failed)
        if session.manifest.status != "finished":
            session.manifest.status = "interrupted"
            completed = ()
        finished_at = _now()
        session.manifest.finished_at = finished_at.isoformat()
        try:
            await self._save(session)  # first: who receives `done` may read the manifest
        finally:
            done = Done(session_id=session.id, completed_slots=len(completed), turns=self._turns)
            session.publish(done)
            emit(session_finished, self, SessionFinished(session.id, completed, finished_at))

    async def _save(self, session: _Session) -> None:
        def write() -> None:
            with session.saving:
                save(session.manifest, self._artifacts, keep_texts=self._keep_texts)

        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, write)
        except OSError as error:
            log.error("the manifest could not be written", session_id=session.id, error=str(error))


def _utterance(turn_index: int, slot: Slot, answer: SpokenResponse | CommentSelection) -> Utterance:
    return Utterance(
        turn_index=turn_index,
        kind=TURN_KINDS[turn_index],
        slot_id=slot.slot_id,
        agent_id=slot.agent_id,
        text=answer.text,
        voice_profile=resolve_profile(answer.voice_profile),
        target_slot_id=answer.target_slot_id,
    )


def _said(utterance: Utterance) -> Said:
    return Said(utterance.slot_id, utterance.kind, utterance.text, utterance.target_slot_id)


def _draw_comments(
    comments: dict[int, Utterance], generator: random.Random
) -> dict[int, list[Said]]:
    """Return the comments that reach each target, at most `COMMENTS_PER_TARGET`, by target."""
    by_target: dict[int, list[Said]] = {}
    for comment in comments.values():
        if comment.target_slot_id is not None:
            by_target.setdefault(comment.target_slot_id, []).append(_said(comment))
    return {
        target: generator.sample(received, min(len(received), COMMENTS_PER_TARGET))
        for target, received in by_target.items()
    }


def _now() -> datetime:
    return datetime.now(UTC)
