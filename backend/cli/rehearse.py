"""Run one session without a server, until every utterance has its waves."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import cycle
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from backend.agents import Slot
from backend.config import Settings
from backend.errors import ArtifactError, UsageError
from backend.plugins import Discovered, PluginStatus
from backend.runtime import Hosting
from backend.sessions import (
    Done,
    Manifest,
    SlotAudio,
    SlotDone,
    SlotError,
    TurnStart,
    read,
)
from backend.signals import TURN_KINDS, TtsWritten, WorkDone, WorkFailed, tts_written
from backend.storage import WAVE_NUMBERS, Artifacts, holding, read_header
from backend.terminal import duration, output, show_paragraph, show_table

WAVES = "waves"
PLAYBACK = "playback"
LAST = "last"
WAIT_LIMIT_S = 300.0
"""Longer than any job may wait and run."""

INDENTS = (2, 4)


@dataclass(slots=True)
class UtteranceReport:
    """One utterance and its waves."""

    turn_index: int
    kind: str
    slot_id: int
    agent_id: str
    voice_profile: str
    audio_path: str
    duration_s: float
    target_slot_id: int | None = None
    text: str = ""
    waves: list[str] = field(default_factory=list)
    ready_ms: float | None = None
    failure: str | None = None


@dataclass(slots=True)
class Report:
    """The result of a rehearsal; `problems` is empty if every utterance has its waves."""

    session_id: str
    artifacts: str
    utterances: list[UtteranceReport]
    problems: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, with `ok`."""
        return {"ok": not self.problems, **asdict(self)}


class _Watch:
    """Record every utterance from `tts_written` to the signal that ends its work."""

    def __init__(self) -> None:
        self.session_id = ""
        self.written: dict[Path, tuple[TtsWritten, float]] = {}
        self.ended: dict[Path, tuple[WorkDone | WorkFailed, float]] = {}
        self._unseen: asyncio.Queue[WorkDone | WorkFailed] = asyncio.Queue()
        self._shown = asyncio.Event()

    def on_written(self, _: object, *, event: TtsWritten) -> None:
        self.written[event.wav_path] = (event, perf_counter())

    def on_ended(self, _: object, *, event: WorkDone | WorkFailed) -> None:
        if event.source.session_id != self.session_id:
            return  # waves of an earlier session, made by the backfill
        self.ended[event.source.wav_path] = (event, perf_counter())
        self._unseen.put_nowait(event)

    async def follow(self, progress: Console, *, verbose: bool) -> None:
        """Show failures, and if `verbose` all outcomes, until cancelled."""
        while True:
            event = await self._unseen.get()
            who = f"turn {event.source.turn_index} slot {event.source.slot_id}"
            if isinstance(event, WorkFailed):
                show_paragraph(progress, f"{who}: no waves: {event.message}", INDENTS, "red")
            elif verbose:
                waited = duration(self.waited_ms(event.source.wav_path) / 1000)
                done = f"{who}: {len(event.files)} waves after {waited}"
                show_paragraph(progress, done, INDENTS, "dim")
            self._unseen.task_done()
            self._shown.set()

    async def all_ended(self) -> None:
        """Wait until every utterance has ended and its outcome is shown."""
        while not self.written.keys() <= self.ended.keys():
            self._shown.clear()
            await self._shown.wait()
        await self._unseen.join()

    def waited_ms(self, path: Path) -> float:
        return (self.ended[path][1] - self.written[path][1]) * 1000


def earlier(root: Path, session: str) -> Manifest:
    """Return the manifest of a session, by its id or as `last`, or raise UsageError."""
    artifacts = Artifacts(root)
    if session == LAST:
        session = next(iter(artifacts.session_ids("tts")), LAST)
    try:
        found = read(artifacts, session)
    except ArtifactError as error:
        raise UsageError(f"--like {session}: {error}") from error
    if found.seed is None:
        raise UsageError(f"--like {session}: it has no seed, as those of earlier versions")
    return found


async def rehearse(
    settings: Settings,
    discovered: Iterable[Discovered],
    message: str,
    slots: int | Mapping[int, str],
    progress: Console,
    *,
    recording: bytes = b"",
    verbose: bool = False,
) -> Report:
    """Run a session, show it on `progress`, and wait for its waves.

    `slots` is how many there are, or which agent is in each. What is heard in a `recording` takes
    the place of `message`.
    """
    hosting = Hosting(settings, discovered)
    hosting.plugins = {name: one for name, one in hosting.plugins.items() if name != PLAYBACK}
    hosting.board.watch = partial(_show_warming, progress)
    watch = _Watch()
    if isinstance(slots, int):
        slots = dict(zip(range(1, slots + 1), cycle(hosting.registry.ids), strict=False))
    placed = [Slot(number, agent_id) for number, agent_id in slots.items()]
    with ExitStack() as connections:
        connections.enter_context(holding(hosting.artifacts, "reflective-resonance rehearse"))
        connections.enter_context(tts_written.connected_to(watch.on_written))
        waves = hosting.plugins.get(WAVES)
        for signal in waves[0].resolve("outcomes") if waves else ():
            connections.enter_context(signal.connected_to(watch.on_ended))
        async with hosting.running(low_priority=False, warm_hearing=False):
            heard_id = None
            if recording:
                heard = await hosting.hearing.hear(recording)
                heard_id, message = heard.heard_id, heard.transcript.text
                show_paragraph(progress, f"heard by {heard.transcript.engine}: {message}")
            following = asyncio.create_task(watch.follow(progress, verbose=verbose))
            stream = hosting.runner.start(message, placed, heard_id, keep_message=not recording)
            watch.session_id = stream.session_id
            problems, texts = await _follow(stream, progress, len(placed), verbose=verbose)
            status = hosting.board.get(WAVES)
            if status is None or status.state in {"failed", "disabled"}:
                reason = f"{status.state}, {status.reason}" if status else "not installed"
                problems.append(f"no waves are made: the plugin {WAVES!r} is {reason}")
            else:
                progress.print("waiting for the waves ...")
                try:
                    await asyncio.wait_for(watch.all_ended(), WAIT_LIMIT_S)
                except TimeoutError:
                    problems.append(f"some waves were not ready after {duration(WAIT_LIMIT_S)}")
            following.cancel()
    root = hosting.artifacts.root
    rows = [_row(watch, event, texts, root) for event, _ in watch.written.values()]
    rows.sort(key=lambda row: (row.turn_index, row.slot_id))
    counts = Counter(row.failure for row in rows)
    firsts = {row.failure: row.audio_path for row in reversed(rows) if row.failure}
    for failure, path in firsts.items():
        more = f" and {counts[failure] - 1} more" if counts[failure] > 1 else ""
        problems.append(f"{path}{more}: {failure}")
    if not rows:
        problems.append("no agent spoke")
    return Report(stream.session_id, str(root), rows, problems)


def show(report: Report) -> None:
    """Print the table of a rehearsal."""
    rows = [
        (
            f"turn {row.turn_index}"
            + (f" slot {row.slot_id}" if row.slot_id else "")
            + f" {row.kind}"
            + (f" on slot {row.target_slot_id}" if row.target_slot_id else ""),
            row.voice_profile,
            duration(row.duration_s),
            f"{len(row.waves)} of {len(WAVE_NUMBERS)}",
            "-" if row.ready_ms is None else duration(row.ready_ms / 1000),
        )
        for row in report.utterances
    ]
    show_table(("Utterance", "Voice", "Speech", "Waves", "Ready after"), rows)
    output().out(f"session {report.session_id} is kept in {report.artifacts}")


def _show_warming(progress: Console, _: str, status: PluginStatus) -> None:
    if status.state == "warming":
        progress.print(status.reason, style="dim")


async def _follow(
    stream: Any, progress: Console, slot_count: int, *, verbose: bool
) -> tuple[list[str], dict[tuple[int, int], str]]:
    """Show the session while it runs; return the problems, and the texts by turn and slot."""
    problems: list[str] = []
    texts: dict[tuple[int, int], str] = {}
    failed: set[int] = set()
    async for _, event in stream.read():
        match event:
            case TurnStart():
                title = f"turn {event.turn_index}: {TURN_KINDS[event.turn_index]}"
                progress.print(title, style="bold")
            case SlotDone():
                texts[event.turn_index, event.slot_id] = event.text
                target = f" on slot {event.target_slot_id}" if event.target_slot_id else ""
                slot = f"slot {event.slot_id}{target}" if event.slot_id else "all slots"
                who = f"{slot} ({event.agent_id})"
                show_paragraph(progress, f"{who}: {event.text}", INDENTS)
            case SlotAudio() if verbose:
                written = f"  slot {event.slot_id}: speech written: {event.audio_path}"
                progress.print(written, style="dim", soft_wrap=True)
            case SlotError():
                where = f"turn {event.turn_index} slot {event.slot_id}"
                problem = f"{where}: {event.error.type}: {event.error.message}"
                show_paragraph(progress, problem, INDENTS, "red")
                problems.append(problem)
                failed.add(event.slot_id)
            case Done() if event.completed_slots < slot_count - len(failed):
                problems.append("the session ended early; the log says why")
            case _:
                pass
    return problems, texts


def _row(
    watch: _Watch, event: TtsWritten, texts: dict[tuple[int, int], str], root: Path
) -> UtteranceReport:
    row = UtteranceReport(
        turn_index=event.turn_index,
        kind=event.kind,
        slot_id=event.slot_id,
        agent_id=event.agent_id,
        voice_profile=event.voice_profile,
        audio_path=event.audio_path,
        duration_s=_duration_s(event.wav_path),
        target_slot_id=event.target_slot_id,
        text=texts.get((event.turn_index, event.slot_id), ""),
    )
    outcome, _ = watch.ended.get(event.wav_path, (None, 0.0))
    if isinstance(outcome, WorkDone):
        row.waves = [path.relative_to(root).as_posix() for path in outcome.files if path.is_file()]
        row.ready_ms = round(watch.waited_ms(event.wav_path), 1)
    if isinstance(outcome, WorkFailed):
        row.failure = f"{outcome.reason}: {outcome.message}"
    elif len(row.waves) != len(WAVE_NUMBERS):
        row.failure = f"has {len(row.waves)} of {len(WAVE_NUMBERS)} waves"
    return row


def _duration_s(path: Path) -> float:
    with path.open("rb") as file:
        return round(read_header(file, path.stat().st_size).duration_s, 3)
