"""One WebSocket connection: a `hello` is answered with the events missed, then new events follow.

New events are held for `HELLO_GRACE_S`, in which a `hello` may come, so that replayed events are
sent first; a client need not send one. A further `hello` is answered once the replay before it has
been sent. A wrong one is refused, and objects of another type are ignored. A client that reads too
slowly is closed with code 4002.
"""

import asyncio
import json
from contextlib import suppress

import structlog
from fastapi import WebSocket, WebSocketDisconnect, status
from pydantic import ValidationError

from plugins.show.hub import DIALECTS, Client, Hub
from plugins.show.messages import Hello

log = structlog.get_logger(__name__)

SUBPROTOCOL = "reflective-resonance.v1"
"""What a browser offers beside its token; see `backend.http.access`."""
TOO_SLOW = 4002
HELLO_GRACE_S = 0.25
CLOSE_LIMIT_S = 2.0
MAX_HELLO_CHARACTERS = 4096
EXPECTED = 'a hello is {"type": "hello"}, or with "cursor": <whole number> for what was missed'


async def serve(socket: WebSocket, hub: Hub, dialect: str) -> None:
    """Serve a client until it disconnects or is dropped."""
    offered = socket.scope.get("subprotocols") or []
    await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
    known = next((one for one in DIALECTS if one == dialect), None)
    if known is None:
        reason = f"no such dialect; there are {', '.join(DIALECTS)}"
        log.warning("a client was refused", reason=reason)
        await socket.close(status.WS_1008_POLICY_VIOLATION, reason)
        return
    client = hub.connect(known)
    if client is None:
        log.warning("too many clients; one more was refused", clients=hub.clients)
        await socket.close(status.WS_1013_TRY_AGAIN_LATER, "too many clients")
        return
    log.info("client connected", clients=hub.clients)
    try:
        await _until_it_ends(socket, hub, client)
    finally:
        hub.disconnect(client)
        log.info("client disconnected", clients=hub.clients, too_slow=client.slow.is_set())
    if client.slow.is_set():
        with suppress(TimeoutError, OSError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await socket.close(TOO_SLOW, "too slow")
        hub.dropped += 1


async def _until_it_ends(socket: WebSocket, hub: Hub, client: Client) -> None:
    greeted = asyncio.Event()
    tasks = [
        asyncio.create_task(_listen(socket, hub, client, greeted)),
        asyncio.create_task(_send(socket, client, greeted)),
        asyncio.create_task(client.slow.wait()),
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, WebSocketDisconnect | OSError):
            log.error("a connection ended with an error", exc_info=end)


async def _listen(socket: WebSocket, hub: Hub, client: Client, greeted: asyncio.Event) -> None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        hello = _hello(message.get("text"))
        if hello is not None:
            await client.caught_up()
            if isinstance(hello, Hello):
                hub.greet(client, hello.cursor)
                greeted.set()
            else:
                hub.refuse(client, hello)


async def _send(socket: WebSocket, client: Client, greeted: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(greeted.wait(), HELLO_GRACE_S)
    while True:
        await socket.send_text(await client.next())


def _hello(text: str | None) -> Hello | str | None:
    """Return the hello of a client, flat or in an envelope, or why it is none.

    None is an object of another type, which is ignored.
    """
    if text is None or len(text) > MAX_HELLO_CHARACTERS:
        return f"not a text of at most {MAX_HELLO_CHARACTERS} characters; {EXPECTED}"
    try:
        said = json.loads(text)
        if not isinstance(said, dict) or "type" not in said:
            return EXPECTED
        if said["type"] != Hello.type:
            return None
        payload = said.get("payload")
        return Hello.model_validate(payload if isinstance(payload, dict) else said, strict=True)
    except ValidationError as error:
        return f"cursor: {error.errors()[0]['msg']}; {EXPECTED}"
    except (ValueError, RecursionError):
        return f"not JSON; {EXPECTED}"
