"""Number events, keep the latest, and queue each for every client.

publish(payload) --> a text for each dialect --> Ring of that dialect
                                            \\--> Client 1: what waits (bounded) --> its sender
                                             \\-> Client 2: ...

A text is made once. Each dialect has cursors and a ring of its own, so that the many events of one
displace none of another. A client for which too many events wait is marked `slow`, and its
connection drops it; the other clients are not delayed. Everything runs on the event loop's thread.
"""

import asyncio
import json
import secrets
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from plugins.show import messages, original
from plugins.show.messages import Heartbeat, HelloAck, HelloRefused, Message, Payload, ReplayGap
from plugins.show.ring import Ring
from plugins.show.settings import Dialect

MAX_SESSIONS = 4096
"""Sessions whose `seq` is remembered; far more than the ring holds."""

Write = Callable[[Message, str | None, int | None, int, str], dict[str, Any] | None]
"""Payload, session id and `seq` if it has them, cursor, time; None if the dialect has no such."""
DIALECTS: dict[Dialect, Write] = {
    "standard": messages.write,
    "original": original.write,
    "full": messages.write,
}


class Client:
    """The events that wait for one connection.

    Not an `EventQueue`: at the limit the client is dropped, so that it misses no single event.
    """

    def __init__(self, limit: int, dialect: Dialect) -> None:
        self.dialect = dialect
        self._limit = limit
        self._replay: deque[str] = deque()
        self._live: deque[str] = deque()
        self._wake = asyncio.Event()
        self._caught_up = asyncio.Event()
        self._caught_up.set()
        self.slow = asyncio.Event()
        """Set once more than `limit` events wait."""

    def __len__(self) -> int:
        return len(self._replay) + len(self._live)

    def offer(self, text: str) -> None:
        """Queue a new event; mark the client as slow if too many wait."""
        if len(self._live) >= self._limit:
            self.slow.set()
            self._live.clear()
            self._replay.clear()
            self._caught_up.set()
        elif not self.slow.is_set():
            self._live.append(text)
            self._wake.set()

    def answer(self, texts: list[str]) -> None:
        """Queue `texts` first, and remove from the new events those that `texts` contain."""
        told = set(texts)
        self._replay.extend(texts)
        self._live = deque(text for text in self._live if text not in told)
        self._caught_up.clear()
        self._wake.set()

    async def caught_up(self) -> None:
        """Wait until the last answer was sent."""
        await self._caught_up.wait()

    async def next(self) -> str:
        """Wait for the next text to send and return it."""
        while not self._replay and not self._live:
            self._wake.clear()
            await self._wake.wait()
        text = (self._replay or self._live).popleft()
        if not self._replay:
            self._caught_up.set()
        return text


class Hub:
    """Everything that the clients share.

    Parameters
    ----------
    ring_size, client_queue, max_clients : int
        Latest events that are kept of each dialect, events that may wait for a client, clients at
        once.
    heartbeat_s : float
        The interval that each heartbeat names.
    base_url : str
        Where the server is.
    dialect : str
        That of clients which ask for none.
    now : callable
        The time.
    """

    def __init__(
        self,
        *,
        ring_size: int,
        client_queue: int,
        max_clients: int,
        heartbeat_s: float,
        base_url: str = "",
        dialect: Dialect = "standard",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._client_queue = client_queue
        self._max_clients = max_clients
        self._heartbeat_s = heartbeat_s
        self._seqs: OrderedDict[str, Counter[str]] = OrderedDict()
        self._clients: set[Client] = set()
        base = int(now().timestamp() * 1000)
        self.rings = {name: Ring(ring_size, base) for name in DIALECTS}
        self.run = secrets.token_hex(4)
        self.base_url = base_url
        self.dialect = dialect
        self.dropped = 0
        """Clients that were too slow."""

    @property
    def clients(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    @property
    def sessions(self) -> int:
        """How many sessions have their `seq` remembered."""
        return len(self._seqs)

    def connect(self, dialect: Dialect | None = None) -> Client | None:
        """Return a client that gets every event from now on; None if there are too many."""
        if len(self._clients) >= self._max_clients:
            return None
        client = Client(self._client_queue, dialect or self.dialect)
        self._clients.add(client)
        return client

    def disconnect(self, client: Client) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def publish(
        self, session_id: str, payload: Message, *, original: Payload | None = None
    ) -> None:
        """Number an event of a session, keep it and send it, also in the original dialect."""
        told: dict[Dialect, Message | None] = {"full": payload, "original": original}
        if isinstance(payload, Payload):
            told["standard"] = payload
        seqs = self._seqs.pop(session_id, None) or Counter()
        self._seqs[session_id] = seqs  # the latest stands last
        if len(self._seqs) > MAX_SESSIONS:
            self._seqs.popitem(last=False)
        texts: dict[str, str] = {}
        for dialect, message in told.items():
            if message is not None:
                ring = self.rings[dialect]
                seqs[dialect] += 1
                text = self._text(dialect, message, session_id, seqs[dialect], ring.last + 1)
                ring.append(text)
                texts[dialect] = text
        for client in self._clients:
            if client.dialect in texts:
                client.offer(texts[client.dialect])

    def heartbeat(self) -> None:
        """Queue a heartbeat for every client whose dialect has one."""
        beat = Heartbeat(run=self.run, interval_s=self._heartbeat_s)
        texts = {dialect: self._control(dialect, beat) for dialect in DIALECTS}
        for client in self._clients:
            for text in texts[client.dialect]:
                client.offer(text)

    def greet(self, client: Client, cursor: int | None) -> None:
        """Answer a `hello`: the events after `cursor` first, then new ones."""
        ring = self.rings[client.dialect]
        replay = ring.since(cursor) if cursor is not None else None
        texts = list(replay.texts) if replay else []
        if cursor is not None and replay is not None and replay.gap:
            gap = ReplayGap(asked=cursor, oldest=ring.oldest)
            texts = self._control(client.dialect, gap) + texts
        ack = HelloAck(
            run=self.run,
            oldest=ring.oldest,
            replayed=len(replay.texts) if replay else 0,
        )
        client.answer(self._control(client.dialect, ack) + texts)

    def refuse(self, client: Client, reason: str) -> None:
        """Answer what was meant as `hello` and is none."""
        client.answer(self._control(client.dialect, HelloRefused(reason=reason)))

    def _control(self, dialect: Dialect, payload: Payload) -> list[str]:
        """Return the text of what is for one client, if its dialect has it."""
        text = self._text(dialect, payload, None, None, self.rings[dialect].last)
        return [text] if text else []

    def _text(
        self,
        dialect: Dialect,
        payload: Message,
        session_id: str | None,
        seq: int | None,
        cursor: int,
    ) -> str:
        moment = self._now().astimezone(UTC).isoformat(timespec="milliseconds")
        ts = moment.replace("+00:00", "Z")
        told = DIALECTS[dialect](payload, session_id, seq, cursor, ts)
        return json.dumps(told, separators=(",", ":")) if told else ""
