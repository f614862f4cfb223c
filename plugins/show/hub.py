"""Number events, keep the latest, and queue each for every client.

publish(payload) --> envelope as text --> Ring
                                     \\--> Client 1: what waits (bounded) --> its sender
                                      \\-> Client 2: ...

The text is made once. A client for which too many events wait is marked `slow`, and its connection
drops it; the other clients are not delayed. Everything runs on the event loop's thread.
"""

import asyncio
import json
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, datetime

from plugins.show.messages import VERSION, Heartbeat, HelloAck, Payload, ReplayGap
from plugins.show.ring import Entry, Ring

MAX_SESSIONS = 4096
"""Sessions whose `seq` is remembered; far more than the ring holds."""


class Client:
    """The events that wait for one connection.

    Not an `EventQueue`: at the limit the client is dropped, so that it misses no single event.
    """

    def __init__(self, limit: int) -> None:
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
        Latest events that are kept, events that may wait for a client, clients at once.
    heartbeat_s : float
        The interval that each heartbeat names.
    base_url : str
        Where the server is.
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
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._now = now
        self._client_queue = client_queue
        self._max_clients = max_clients
        self._heartbeat_s = heartbeat_s
        self._seqs: OrderedDict[str, int] = OrderedDict()
        self._clients: set[Client] = set()
        self.ring = Ring(ring_size, base=int(now().timestamp() * 1000))
        self.run = secrets.token_hex(4)
        self.base_url = base_url
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

    def connect(self) -> Client | None:
        """Return a client that gets every event from now on; None if there are too many."""
        if len(self._clients) >= self._max_clients:
            return None
        client = Client(self._client_queue)
        self._clients.add(client)
        return client

    def disconnect(self, client: Client) -> None:
        """Forget a client."""
        self._clients.discard(client)

    def publish(self, session_id: str, payload: Payload) -> None:
        """Number an event of a session, keep it and send it to every client."""
        seq = self._seqs.pop(session_id, 0) + 1
        self._seqs[session_id] = seq  # the latest stands last
        if len(self._seqs) > MAX_SESSIONS:
            self._seqs.popitem(last=False)
        cursor = self.ring.last + 1
        text = _envelope(payload, session_id, seq, cursor, self._now())
        self.ring.append(Entry(cursor, text))
        for client in self._clients:
            client.offer(text)

    def heartbeat(self) -> None:
        """Queue a heartbeat for every client."""
        text = self._control(Heartbeat(run=self.run, interval_s=self._heartbeat_s))
        for client in self._clients:
            client.offer(text)

    def greet(self, client: Client, cursor: int | None) -> None:
        """Answer a `hello`: the events after `cursor` first, then new ones."""
        replay = self.ring.since(cursor) if cursor is not None else None
        texts = list(replay.texts) if replay else []
        if cursor is not None and replay is not None and replay.gap:
            texts.insert(0, self._control(ReplayGap(asked=cursor, oldest=self.ring.oldest)))
        ack = HelloAck(
            run=self.run,
            oldest=self.ring.oldest,
            replayed=len(replay.texts) if replay else 0,
        )
        client.answer([self._control(ack), *texts])

    def _control(self, payload: Payload) -> str:
        return _envelope(payload, None, None, self.ring.last, self._now())


def _envelope(
    payload: Payload, session_id: str | None, seq: int | None, cursor: int, moment: datetime
) -> str:
    envelope = {
        "v": VERSION,
        "type": payload.type,
        "sessionId": session_id,
        "seq": seq,
        "cursor": cursor,
        "ts": moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "payload": payload.data(),
    }
    return json.dumps(envelope, separators=(",", ":"))
