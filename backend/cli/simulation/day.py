"""A day at a server: visitors ask and hear everything to the end, and what reaches them is timed.

arrivals --> room (at most `visitors`) --> door (one asks at a time) --> POST /v1/chat
                                                                           |
    GET /v1/figures, all the time          GET /v1/sessions/{id}/events <--+
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import httpx2

from backend.cli.simulation.plan import Plan
from backend.storage import WAVE_NUMBERS

FULL = (429, 503)
"""The statuses of a refusal after which a visitor asks again."""
ASK_AGAIN_S, ASK_AGAIN_LEAST_S = 10.0, 0.25
"""As the server tells a page to, sooner in a faster day, but no more often than it can bear."""
LATER = ("queue_full", "late")
"""The reasons of missing waves that the server makes later."""
SAMPLES = 240
"""How often the server's figures are read in a day, at most every second."""
POLL_S = 0.2
WAITING = (".queued", ".queue_depth")
"""The ends of the names of gauges that count what waits to be done."""
SETTLE_LIMIT_S = 300.0
"""Longer than the server takes to measure 10,000 sessions on its disk."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The server's figures at one moment, and what visitors had heard by then."""

    at_s: float
    now: dict[str, Any]
    utterances: int


@dataclass(slots=True)
class Measured:
    """What was measured; all times are real seconds, `at_s` those since the opening."""

    arrived: list[float] = field(default_factory=list)
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """For each stage, when it ended and how long it took."""
    samples: list[Sample] = field(default_factory=list)
    sessions: int = 0
    """Those that came to their end."""
    utterances: int = 0
    waves: int = 0
    """Utterances that got them at once."""
    made_later: int = 0
    """Utterances that found the queue of the waves full; the server makes theirs when it can."""
    refused: Counter[int] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)
    took_s: float = 0.0
    ended_early: str = ""


class Day:
    """Lets visitors come as `plan` says, once; `show` is called when one has gone."""

    def __init__(
        self, client: httpx2.AsyncClient, plan: Plan, show: Callable[[Measured], None]
    ) -> None:
        self._client = client
        self._plan = plan
        self._show = show
        self._room = asyncio.Semaphore(plan.visitors)
        self._door = asyncio.Lock()
        self._opened = 0.0
        self._measured = Measured()

    async def run(self) -> Measured:
        """Run the day and wait for the last waves; Ctrl-C ends it, and what was measured stays."""
        before = await self._settled()
        self._opened = perf_counter()
        self._add_sample(before)
        try:
            await self._open()
        except* asyncio.CancelledError:
            self._measured.ended_early = "interrupted"
        except* httpx2.HTTPError as errors:
            name = _name(errors.exceptions[0])
            self._measured.ended_early = f"the server answers no more ({name}); see its log"
        self._measured.took_s = self._measured.took_s or self._at_s()
        return self._measured

    async def _open(self) -> None:
        """Let everybody in, until all have gone and the server has nothing left to do."""
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample())
            visits = []
            for due_s, question in self._plan.arrivals():
                await self._until(due_s)
                await self._room.acquire()
                visits.append(group.create_task(self._visit(due_s, question)))
            await self._until(self._plan.opening_s)
            await asyncio.gather(*visits)
            self._measured.took_s = self._at_s()
            self._add_sample(await self._settled())
            if self._measured.made_later:
                self._measured.took_s = self._at_s()
            sampling.cancel()

    async def _visit(self, due_s: float, question: str) -> None:
        self._measured.arrived.append(due_s)
        try:
            async with self._door:
                session_id, asked_s = await self._ask(question)
            self._span("place", due_s, asked_s)
            await self._hear(session_id, asked_s)
        except httpx2.ConnectError:
            raise
        except httpx2.HTTPError as error:
            self._measured.problems[f"a session broke off ({_name(error)})"] += 1
        finally:
            self._room.release()
            self._show(self._measured)

    async def _ask(self, question: str) -> tuple[str, float]:
        """Ask until there is a place; return the session's id, and when it was asked for."""
        body = {"message": question, "sessionStart": True}
        while True:
            asked_s = self._at_s()
            async with self._client.stream("POST", "/v1/chat", json=body) as answer:
                if answer.status_code not in FULL:
                    answer.raise_for_status()
                    return answer.headers["x-session-id"], asked_s
            self._measured.refused[answer.status_code] += 1
            await asyncio.sleep(max(ASK_AGAIN_LEAST_S, ASK_AGAIN_S / self._plan.speed))

    async def _hear(self, session_id: str, asked_s: float) -> None:
        """Hear a session as the page does, to its last waves."""
        since: dict[object, float] = {"first_speech": asked_s}
        async with self._client.stream("GET", f"/v1/sessions/{session_id}/events") as answer:
            answer.raise_for_status()
            async for name, data in _events(answer.aiter_lines()):
                now, turn = self._at_s(), f"turn_{data.get('turnIndex')}"
                slot, water = (turn, data.get("slotId")), data.get("audioPath")
                match name:
                    case "turn.start":
                        since[turn] = now
                    case "turn.done":
                        self._span(turn, since[turn], now)
                    case "slot.start":
                        since[slot] = now
                    case "slot.done":
                        self._span("agent", since[slot], now)
                        since[slot] = now
                    case "slot.audio":
                        self._measured.utterances += 1
                        self._span("speech", since[slot], now)
                        self._span("first_speech", since.pop("first_speech", None), now)
                        since[water] = now
                    case "slot.waves" if data.get("files"):
                        self._measured.waves += 1
                        self._span("waves", since[water], now)
                    case "slot.waves" if data["reason"] in LATER:
                        self._measured.made_later += 1
                    case "slot.waves":
                        self._measured.problems[f"no waves: {data['reason']}"] += 1
                    case "slot.error":
                        self._measured.problems[f"a slot fell silent: {data['error']['type']}"] += 1
                    case "done":
                        self._measured.sessions += 1
                        self._span("session", asked_s, now)

    def _span(self, stage: str, begun_s: float | None, ended_s: float) -> None:
        if begun_s is not None:
            self._measured.spans.setdefault(stage, []).append((ended_s, ended_s - begun_s))

    async def _sample(self) -> None:
        while True:
            await asyncio.sleep(max(1.0, self._plan.opening_s / SAMPLES))
            self._add_sample(await self._figures())

    async def _settled(self) -> dict[str, Any]:
        """Return the figures once nothing waits and the disk as it is then has all waves."""
        measured, began = self._measured, perf_counter()
        utterances = measured.waves + measured.made_later
        manifests = len(measured.spans.get("first_speech", ())) if utterances else 0
        files = len(WAVE_NUMBERS) * utterances + manifests
        files += sum(one.now["disk"]["usedFiles"]["waves"] for one in measured.samples[:1])
        quiet_at = began
        while True:
            await asyncio.sleep(POLL_S)
            disk = (now := await self._figures())["disk"]
            if any(value for name, value in now["gauges"].items() if name.endswith(WAITING)):
                quiet_at = perf_counter()
            is_fresh = disk["ageS"] is not None and disk["ageS"] < perf_counter() - quiet_at
            if is_fresh and disk["usedFiles"]["waves"] >= files:
                return now
            if perf_counter() - began > SETTLE_LIMIT_S:
                measured.problems[f"waves or the disk are behind by {SETTLE_LIMIT_S:.0f} s"] += 1
                return now

    async def _figures(self) -> dict[str, Any]:
        answer = await self._client.get("/v1/figures")
        now: dict[str, Any] = answer.raise_for_status().json()["now"]
        return now

    def _add_sample(self, now: dict[str, Any]) -> None:
        self._measured.samples.append(Sample(self._at_s(), now, self._measured.utterances))

    def _at_s(self) -> float:
        return perf_counter() - self._opened

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._at_s()))


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield the events of a stream by name and data."""
    name = ""
    async for line in lines:
        field_, _, value = line.partition(": ")
        if field_ == "event":
            name = value
        elif field_ == "data":
            yield name, json.loads(value)


def _name(error: BaseException) -> str:
    status = f" {error.response.status_code}" if isinstance(error, httpx2.HTTPStatusError) else ""
    return f"{type(error).__name__}{status}"
