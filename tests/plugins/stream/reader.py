"""A reader of server-sent events that does what a browser's EventSource does."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

MAX_CONNECTIONS = 200


@dataclass(frozen=True, slots=True)
class Message:
    """One event as a page gets it."""

    id: str
    name: str
    data: str

    @property
    def content(self) -> dict[str, Any]:
        """The data as it was meant."""
        loaded: dict[str, Any] = json.loads(self.data)
        return loaded


def parse(lines: Iterable[str], last_id: str = "") -> Iterator[Message]:
    """Take a stream apart as the HTML standard says (9.2.6); a blank line ends an event."""
    name, data = "", list[str]()
    for line in lines:
        if not line:
            if data:
                yield Message(last_id, name or "message", "\n".join(data))
            name, data = "", []
            continue
        key, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if key == "event":
            name = value
        elif key == "data":
            data.append(value)
        elif key == "id":
            last_id = value


@dataclass
class EventSource:
    """Reads, comes back with the last id it has seen, and stops at anything but 200."""

    client: httpx2.Client
    session_id: str
    last_id: str = ""
    messages: list[Message] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    @property
    def path(self) -> str:
        """Where the session's events are."""
        return f"/v1/sessions/{self.session_id}/events"

    def connect(self, count: int | None = None) -> int:
        """Read until the server ends, or leave after `count` events; return the status."""
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        with self.client.stream("GET", self.path, headers=headers) as answer:
            self.statuses.append(answer.status_code)
            if answer.status_code == httpx2.codes.OK and count != 0:
                for number, message in enumerate(parse(answer.iter_lines(), self.last_id), 1):
                    self.messages.append(message)
                    self.last_id = message.id
                    if number == count:
                        break
        return self.statuses[-1]

    def read_all(self) -> list[Message]:
        """Come back until there is nothing more to see."""
        while self.connect() == httpx2.codes.OK:
            assert len(self.statuses) < MAX_CONNECTIONS, "the server does not say that this is all"
        return self.messages
