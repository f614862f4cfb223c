"""A stand-in for the page of the earlier version: what it sends, and which events it knows."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.live import Data, Sequence, events

ORIGIN = "http://localhost:5173"
KNOWN = ("turn.start", "turn.done", "slot.start", "slot.done", "slot.audio", "slot.error", "done")


@dataclass
class EarlierPage:
    """Speaks to the server at `base_url` as that page does; `warnings` are those of its console."""

    client: httpx2.Client
    warnings: list[str] = field(default_factory=list)
    told: Sequence = field(default_factory=list)

    def record(self, recording: bytes, container: str = "webm") -> str:
        """Send a recording of the visitor; return what it shows, the transcript or an error."""
        mime_type = f"audio/{container};codecs=opus"
        answer = self.client.post(
            "/v1/stt",
            files={"file": (f"recording.{container}", recording, mime_type)},
            headers={"Origin": ORIGIN},
        )
        assert ORIGIN == answer.headers["access-control-allow-origin"]
        shown: str = answer.json()["transcript" if answer.is_success else "detail"]
        return shown

    def send(self, message: str, *agents: str) -> Sequence:
        """Send what the visitor said, with an agent for each slot, and read the stream."""
        slots = [{"slotId": n, "agentId": agent} for n, agent in enumerate(agents, start=1)]
        body: dict[str, Any] = {"message": message, "slots": slots}
        headers = {"Origin": ORIGIN, "Accept": "text/event-stream"}
        with self.client.stream("POST", "/v1/chat", json=body, headers=headers) as answer:
            assert 200 == answer.status_code
            assert ORIGIN == answer.headers["access-control-allow-origin"]
            for name, data in events(answer.iter_lines()):
                if name in KNOWN:
                    self.told.append((name, data))
                else:
                    self.warnings.append(f"unknown event {name}")
        return self.told

    def of(self, name: str, turn_index: int) -> list[Data]:
        """Return the data of the events of a name in a turn."""
        return [d for n, d in self.told if n == name and d.get("turnIndex") == turn_index]
