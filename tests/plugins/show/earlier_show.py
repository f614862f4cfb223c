"""A stand-in for the TouchDesigner script of the earlier version, with a clock of its own.

twelve operators, (slot 1-6, A | B)
turn 1       slot after slot, each its duration and 200 ms
dialogues    after turn 1, the comments and then the reply; 0.5 s between dialogues
summary      after the last dialogue, in all slots at once
"""

import heapq
import json
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from tests.live import Data
from tests.plugins.show.harness import Chop

ENVELOPE = {"type", "sessionId", "seq", "ts", "payload"}
PAUSE_MS = 200
BETWEEN_DIALOGUES_MS = 500
SOUND = "sentiment.wav"


class EarlierShow:
    """Plays messages; `log` is what was set on which operator, and when."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.log: list[tuple[float, tuple[int, str], str, Any]] = []
        self.operators = {
            (slot, letter): Chop(partial(self._note, (slot, letter)))
            for slot in range(1, 7)
            for letter in "AB"
        }
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._seen: dict[str, int] = {}
        self._dialogues: list[Data] = []
        self._summary: Data | None = None
        self._busy = True  # until turn 1 is over

    def receive(self, text: str) -> None:
        """Take a message as the WebSocket DAT hands it over; an unknown one is an error."""
        message = json.loads(text)
        if message["type"] == "hello.ack":
            assert {"type", "server", "version"} == message.keys()
            return
        assert ENVELOPE == message.keys()
        assert isinstance(message["sessionId"], str)
        if message["seq"] <= self._seen.get(message["sessionId"], 0):
            return
        self._seen[message["sessionId"]] = message["seq"]
        known = {
            "user_sentiment": self._on_sentiment,
            "turn1.waves.ready": self._on_turn_1,
            "dialogue.waves.ready": self._on_dialogue,
            "final_summary.ready": self._on_summary,
        }
        known[message["type"]](message["payload"])

    def run(self, call: Callable[[], None], delayMilliSeconds: float) -> None:
        """Call it later, as TouchDesigner's `run` does."""
        heapq.heappush(self._due, (self.now_ms + delayMilliSeconds, next(self._numbers), call))

    def advance(self) -> None:
        """Let time pass until nothing is to come."""
        while self._due:
            self.now_ms, _, call = heapq.heappop(self._due)
            call()

    def starts(self) -> list[tuple[float, tuple[int, str], str]]:
        """Return when which operator began to play which file."""
        files: dict[tuple[int, str], str] = {}
        cued: set[tuple[int, str]] = set()
        found = []
        for at, place, parameter, value in self.log:
            if parameter == "file":
                files[place] = value
            elif parameter == "cuepulse":
                cued.add(place)
            elif value == 1:
                assert place in cued
                found.append((at, place, files[place]))
        return found

    def _note(self, place: tuple[int, str], parameter: str, value: Any) -> None:
        self.log.append((self.now_ms, place, parameter, value))

    def _on_sentiment(self, payload: Data) -> None:
        assert payload["sentiment"] in {"positive", "neutral", "negative"}
        assert isinstance(payload["justification"], str)
        for slot in range(1, 7):
            self._play(slot, "A", SOUND)

    def _on_turn_1(self, payload: Data) -> None:
        for slot in range(1, 7):
            self.operators[slot, "A"].par.play = 0
        at = 0.0
        for one in payload["slots"]:
            self.run(partial(self._play_slot, one), at)
            at += one["durationMs"] + PAUSE_MS
        self.run(self._go_on, at)

    def _on_dialogue(self, payload: Data) -> None:
        self._dialogues.append(payload)
        if not self._busy:
            self._go_on()

    def _on_summary(self, payload: Data) -> None:
        self._summary = payload
        if not self._busy:
            self._go_on()

    def _go_on(self) -> None:
        """Play the next dialogue, or the summary once there is none."""
        self._busy = bool(self._dialogues)
        if self._dialogues:
            dialogue = self._dialogues.pop(0)
            by_slot = {one["slotId"]: one for one in dialogue["commenters"]}
            at = 0.0
            for part in dialogue["playOrder"]:
                replies = part["role"] == "respondent"
                one = dialogue["respondent"] if replies else by_slot[part["slotId"]]
                assert part["slotId"] == one["slotId"]
                self.run(partial(self._play_slot, one), at)
                at += one["durationMs"] + PAUSE_MS
            self.run(self._go_on, at + BETWEEN_DIALOGUES_MS)
        elif self._summary and self._summary["status"] == "complete":
            for wave in self._summary["waveInfo"]["waves"]:
                self._play(wave["slotId"], "A", wave["wavePathAbs"])
            self._summary = None

    def _play_slot(self, one: Data) -> None:
        for letter, wave in (("A", "wave1"), ("B", "wave2")):
            self._play(one[f"{wave}TargetSlotId"], letter, one[f"{wave}PathAbs"])

    def _play(self, slot: int, letter: str, file: str) -> None:
        operator = self.operators[slot, letter]
        operator.par.file = file
        operator.par.cuepulse.pulse()
        operator.par.play = 1
