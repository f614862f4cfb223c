"""A connection to a real NATS server: how it logs in, what it refuses, and that it comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from backend.errors import ServerError, SettingsError
from backend.services import NatsConnection, NatsLogin
from tests.command import free_port
from tests.nats_server import ENCRYPTED, TLS, nats_server
from tests.patience import LIMIT_S, until

if TYPE_CHECKING:
    from nats.aio.client import Client

SECRET = "a-very-secret-word"
USERS = f"authorization {{ user: artist, password: {SECRET} }}"


@asynccontextmanager
async def connection(login: NatsLogin) -> "AsyncIterator[tuple[NatsConnection, list[Client]]]":
    """Yield a connection that is kept, and the clients it has had."""
    clients: list[Client] = []

    async def use(client: "Client") -> None:
        clients.append(client)
        await asyncio.Event().wait()

    made = NatsConnection(login, "test", use)
    running = asyncio.create_task(made.run())
    try:
        yield made, clients
    finally:
        running.cancel()
        await asyncio.wait([running])


async def wait_until(made: NatsConnection, *words: str) -> str:
    """Wait until the problem has these words; without words, until there is none."""
    await asyncio.to_thread(
        until,
        lambda: all(one in made.problem for one in words) if words else not made.problem,
        f"a connection of which {words} is said",
    )
    return made.problem


async def test_it_connects_again_after_the_server_was_killed(tmp_path: Path) -> None:
    """A server that is killed is said to be away; the next connection is a new one."""
    with nats_server(tmp_path) as server:
        async with connection(NatsLogin(server.url)) as (made, clients):
            await wait_until(made)
            server.kill()
            await wait_until(made, "cannot be reached")
            server.start()
            await wait_until(made)

    assert len(clients) == 2


async def test_what_uses_it_may_fail(tmp_path: Path) -> None:
    """An error of what uses a connection is logged, and the connection made again."""
    used = asyncio.Event()
    attempts = []

    async def use(client: "Client") -> None:
        attempts.append(client)
        if len(attempts) == 1:
            raise ValueError("once")
        used.set()
        await asyncio.Event().wait()

    with nats_server(tmp_path) as server, capture_logs() as logged:
        running = asyncio.create_task(NatsConnection(NatsLogin(server.url), "test", use).run())
        await asyncio.wait_for(used.wait(), LIMIT_S)
        running.cancel()
        await asyncio.wait([running])

    assert ["a connection to NATS failed"] == [line["event"] for line in logged]
    assert not attempts[0].is_connected


@pytest.mark.parametrize("password", [SECRET, "wrong-" + SECRET, ""])
async def test_a_user_and_a_password(tmp_path: Path, password: str) -> None:
    """The right password opens; another one is refused in words that do not show it."""
    with nats_server(tmp_path, USERS) as server, capture_logs() as logged:
        login = NatsLogin(server.url, user="artist", password=SecretStr(password))
        async with connection(login) as (made, _):
            if password == SECRET:
                await wait_until(made)
            else:
                said = await wait_until(made, "refuses the user, password or key")
                assert SECRET not in said + repr(logged)

    assert SECRET not in repr(login)


async def test_an_nkey(tmp_path: Path) -> None:
    """The seed of a known key opens; that of another is refused."""
    nkeys = pytest.importorskip("nkeys")
    seeds = [nkeys.encode_seed(bytes([number]) * 32, nkeys.PREFIX_BYTE_USER) for number in (1, 2)]
    known = nkeys.from_seed(bytearray(seeds[0])).public_key.decode()
    users = f"authorization {{ users: [ {{ nkey: {known} }} ] }}"
    with nats_server(tmp_path, users) as server:
        logins = [NatsLogin(server.url, nkey=SecretStr(seed.decode())) for seed in seeds]
        async with connection(logins[0]) as (made, _):
            await wait_until(made)
        async with connection(logins[1]) as (made, _):
            await wait_until(made, "refuses the user, password or key")


@pytest.mark.parametrize(
    ("ca", "words"),
    [("certificate.pem", ""), ("other-certificate.pem", "has no certificate that is trusted")],
)
async def test_tls_with_an_authority_of_ones_own(tmp_path: Path, ca: str, words: str) -> None:
    """A server is trusted if the authority that is named signed its certificate."""
    with nats_server(tmp_path, ENCRYPTED, "tls") as server:
        async with connection(NatsLogin(server.url, ca=TLS / ca)) as (made, _):
            await wait_until(made, *[words] if words else [])


async def test_nothing_is_told_to_a_server_that_does_not_encrypt(tmp_path: Path) -> None:
    """An address tls:// gets neither a password nor anything else from us in plain text."""
    heard = bytearray()

    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576}\r\n')
        while data := await reader.read(1000):
            heard.extend(data)
        writer.close()

    server = await asyncio.start_server(impostor, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = NatsLogin(f"tls://127.0.0.1:{port}", user="artist", password=SecretStr(SECRET))
    async with server, connection(login) as (made, _):
        await wait_until(made, "does not encrypt")

    assert not heard


async def test_a_server_that_says_nothing_is_said_not_to_answer() -> None:
    """A port that accepts and is silent does not hold the connection up for ever."""

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0)
    url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, connection(NatsLogin(url)) as (made, _):
        await wait_until(made, "does not answer")


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (NatsLogin("tls://a", ca=TLS / "no.pem"), "no certificates can be read"),
        (NatsLogin("nats://a", ca=TLS / "certificate.pem"), "is for an address tls://"),
        (NatsLogin("nats://a", nkey=SecretStr("SUsecret")), "not the seed of a user|the extra"),
    ],
)
def test_a_wrong_login_is_said_before_it_is_tried(login: NatsLogin, words: str) -> None:
    """What cannot work is a SettingsError, in words without a secret."""
    with pytest.raises(SettingsError, match=words) as caught:
        login.options()

    assert "SUsecret" not in str(caught.value)


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8, 13, 21])
async def test_it_ends_whenever_it_is_told_to(turns: int) -> None:
    """Cancelled at any step of a connection that fails, it ends at once."""

    async def use(_: "Client") -> None:
        raise AssertionError

    made = NatsConnection(NatsLogin(f"nats://127.0.0.1:{free_port()}"), "test", use)
    running = asyncio.create_task(made.run())
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()

    done, _pending = await asyncio.wait([running], timeout=LIMIT_S)

    assert {running} == done


def test_it_is_checked_whether_a_server_can_be_used(tmp_path: Path) -> None:
    """Once, with the login of the settings; the reason has no secret."""
    with nats_server(tmp_path, USERS) as server:
        login = NatsLogin(server.url, user="artist", password=SecretStr(SECRET))
        assert f"{server.url} can be used" == login.check()
        with pytest.raises(ServerError, match="refuses the user, password or key"):
            NatsLogin(server.url, user="artist", password=SecretStr("wrong")).check()
    with pytest.raises(ServerError, match=f"{server.url} cannot be reached"):
        login.check()
