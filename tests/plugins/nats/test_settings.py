"""The settings of the NATS plugin, and its description without a server."""

import asyncio
from pathlib import Path

import pytest

from backend.errors import PluginError
from plugins.nats import routes
from plugins.nats.plugin import lifespan
from plugins.nats.settings import NatsSettings, plugin
from tests.command import free_port
from tests.patience import until
from tests.plugins.publishing import running
from tests.simulated import play


@pytest.mark.parametrize("name", ["RR_NATS_ENABLED", "RR_NATS_EVENTS"])
def test_one_switch_has_two_names(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either of them switches it on; without both it is off."""
    assert not NatsSettings.load().enabled
    monkeypatch.setenv(name, "true")

    assert NatsSettings.load().enabled


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"url": "nats://me:word@host"}, "url"),
        ({"url": "http://host"}, "url"),
        ({"installation": "a.b"}, "installation"),
        ({"ca": Path("/nowhere/ca.pem"), "url": "tls://host"}, "no certificates can be read"),
        ({"ca": Path("/nowhere/ca.pem")}, "is for an address tls://"),
    ],
)
def test_what_cannot_be_used_is_refused(settings: dict[str, object], words: str) -> None:
    """An address holds no password, an installation is one word, a CA is there and is used."""
    with pytest.raises(PluginError, match=words if " " in words else words.upper()):
        NatsSettings.load(enabled=True, **settings)


async def test_every_signal_that_it_listens_to_is_described() -> None:
    """A subject, a message and a schema for each; the server is named without a login."""
    settings = NatsSettings(url="tls://example.org:4222", user="me", installation="hall")

    document = await routes.asyncapi(settings)

    assert {"host": "example.org:4222", "protocol": "natss"} == document["servers"]["nats"]
    assert callable(plugin.listens)
    assert set(plugin.listens(settings)) == set(document["channels"])
    message = document["components"]["messages"]["tts_written"]
    assert "audio_path" in message["payload"]["properties"]
    assert "rr.hall.tts_written" == document["channels"]["tts_written"]["address"]


async def test_without_a_server_what_happens_is_counted(tmp_path: Path) -> None:
    """A session goes on as ever; the plugin counts what it could not send."""
    settings = NatsSettings(enabled=True, url=f"nats://127.0.0.1:{free_port()}")

    async with running("nats", lifespan, settings, tmp_path) as board:
        (unsent,) = (one for one in board.gauges if one.name == "unsent")
        play("s", tmp_path)
        await asyncio.to_thread(until, lambda: unsent.read() == 17, "17 unsent events")
