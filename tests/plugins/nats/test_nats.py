"""What a NATS server is told, by a real one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from backend.plugins.status import PluginStatuses
from backend.signals import SessionStarted, defined, emit, session_started
from plugins.nats.asyncapi import describe
from plugins.nats.plugin import lifespan
from plugins.nats.settings import NatsSettings
from tests.command import free_port
from tests.nats_server import nats_server
from tests.patience import until
from tests.plugins.publishing import becomes, running
from tests.simulated import NOW, play

pytestmark = pytest.mark.e2e

SECRET = "a-very-secret-word"


def publishing(
    root: Path, url: str, **settings: Any
) -> AbstractAsyncContextManager[PluginStatuses]:
    """Run the plugin; yield how it says that it is."""
    return running("nats", lifespan, NatsSettings(enabled=True, url=url, **settings), root)


@asynccontextmanager
async def listening(url: str, **login: Any) -> AsyncIterator[list[tuple[str, Any]]]:
    """Yield the messages of all subjects as they come: subject and JSON."""
    messages: list[tuple[str, Any]] = []

    async def hear(message: Msg) -> None:
        messages.append((message.subject, json.loads(message.data)))

    client = Client()
    await client.connect(url, allow_reconnect=False, **login)
    await client.subscribe("rr.>", cb=hear)
    await client.flush()
    try:
        yield messages
    finally:
        await client.close()


async def comes(messages: list[tuple[str, Any]], subject: str) -> None:
    """Wait for a message of a subject."""
    await asyncio.to_thread(until, lambda: subject in [one for one, _ in messages], subject)


async def comes_to(board: PluginStatuses, events: int) -> None:
    """Wait until so many events were not sent."""
    (unsent,) = (one for one in board.gauges if one.name == "unsent")
    await asyncio.to_thread(until, lambda: unsent.read() == events, f"{events} unsent")


@pytest.mark.parametrize("texts", [False, True])
async def test_each_signal_comes_in_its_order_as_it_is_described(
    texts: bool, tmp_path: Path
) -> None:
    """What is sent is valid by the schema of its channel; words come only where asked for."""
    with nats_server(tmp_path / "server") as server:
        async with publishing(tmp_path, server.url, installation="hall_2", texts=texts) as board:
            await becomes(board, "ok")
            async with listening(server.url) as messages:
                emit(session_started, None, SessionStarted("t", (1,), NOW, None, "Visitor words"))
                play("s", tmp_path)
                await comes(messages, "rr.hall_2.session_finished")

    import jsonschema_rs  # here: the quick tests collect this file, and do without it

    document = describe(NatsSettings(installation="hall_2"))
    addresses = {one["address"]: name for name, one in document["channels"].items()}
    for subject, event in messages:
        schema = document["components"]["messages"][addresses[subject]]["payload"]
        resolved = json.loads(
            json.dumps(schema).replace(
                f"#/components/messages/{addresses[subject]}/payload/$defs", "#/$defs"
            )
        )
        jsonschema_rs.validate(resolved, event)
    names = [addresses[subject] for subject, _ in messages]
    assert ["session_started", "session_started"] == [n for n in names if n == "session_started"]
    assert (6, 6, 3, 1) == tuple(
        names.count(name)
        for name in ("tts_written", "waves_written", "turn_finished", "session_finished")
    )
    assert [texts, texts] == [words in str(messages) for words in ("Water.", "Visitor words")]
    assert {signal.name for signal in defined()} == set(document["channels"])
    assert document["channels"].keys() == document["operations"].keys()


async def test_a_server_that_was_away_is_used_again(tmp_path: Path) -> None:
    """It is said once that it is away; what happens meanwhile is not sent later."""
    with nats_server(tmp_path / "server") as server:
        async with publishing(tmp_path, server.url) as board:
            await becomes(board, "ok")
            server.kill()
            await becomes(board, "degraded", server.url)
            play("lost", tmp_path)
            await comes_to(board, 17)
            server.start()
            await becomes(board, "ok")
            async with listening(server.url) as messages:
                play("s", tmp_path)
                await comes(messages, "rr.main.session_finished")

    assert {"s"} == {
        event.get("source", event)["session_id"]
        for subject, event in messages
        if subject.endswith(("session_started", "session_finished"))
    }


async def test_what_is_sent_at_the_end_arrives(tmp_path: Path) -> None:
    """The last events before the plugin ends are not lost."""
    with nats_server(tmp_path / "server") as server:
        async with listening(server.url) as messages:
            async with publishing(tmp_path, server.url) as board:
                await becomes(board, "ok")
                play("s", tmp_path)
            await comes(messages, "rr.main.session_finished")


async def test_no_server_and_a_wrong_password_are_told_in_words(tmp_path: Path) -> None:
    """The reason has the address and no secret."""
    nowhere = f"nats://127.0.0.1:{free_port()}"
    async with publishing(tmp_path, nowhere) as board:
        await becomes(board, "degraded", f"{nowhere} cannot be reached")
    users = f"authorization {{ user: artist, password: {SECRET} }}"
    with nats_server(tmp_path / "server", users) as server:
        async with publishing(tmp_path, server.url, user="artist", password="no") as board:
            await becomes(board, "degraded", "refuses the user, password or key")
        async with publishing(tmp_path, server.url, user="artist", password=SECRET) as board:
            await becomes(board, "ok")
            async with listening(server.url, user="artist", password=SECRET) as messages:
                play("s", tmp_path)
                await comes(messages, "rr.main.session_finished")
