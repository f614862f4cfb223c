"""A connection to a NATS server that is made anew whenever it is lost.

Rejected: the reconnection of nats-py. It keeps what was published without a server and delivers it
later, ends for good at most errors of the server, and makes no lost stream or consumer again. Here
each connection starts from nothing: `use(client)` subscribes, and is cancelled when it is lost.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog
from pydantic import SecretStr

from backend.errors import ServerError, SettingsError

if TYPE_CHECKING:
    from nats.aio.client import Client

NATS_URL: Final = (
    r"^(nats|tls)://([A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?$"
)
"""What a setting with an address has to match: a user or password in it would be shown."""
NO_SECRET: Final = SecretStr("")
CONNECT_LIMIT_S, CLOSE_LIMIT_S = 2.0, 1.0
PAUSE_S, CHECK_S = 0.5, 0.1
PING_S = 2

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class NatsLogin:
    """Where a NATS server is, and how to log in; `tls://` encrypts."""

    url: str
    ca: Path | None = None
    """File of the certificate authority (PEM) that signed the server's certificate."""
    user: str = ""
    password: SecretStr = NO_SECRET
    nkey: SecretStr = field(default=NO_SECRET)
    """Seed of an nkey (`SU...`), instead of a user."""

    def options(self) -> dict[str, Any]:
        """Return the options of nats-py, or raise SettingsError."""
        options: dict[str, Any] = {"servers": self.url}
        if self.url.startswith("tls://"):
            try:
                options["tls"] = ssl.create_default_context(cafile=self.ca)
            except OSError as error:
                raise SettingsError(f"no certificates can be read from {self.ca}") from error
        elif self.ca is not None:
            raise SettingsError(f"{self.ca} is for an address tls://..., not {self.url}")
        if seed := self.nkey.get_secret_value():
            try:
                import nkeys

                nkeys.from_seed(bytearray(seed.encode()))
            except ImportError as error:
                message = "an nkey needs the extra `nkeys`: uv sync --extra nkeys"
                raise SettingsError(message) from error
            except (ValueError, nkeys.NkeysError):
                raise SettingsError("the nkey is not the seed of a user, SU...") from None
            options["nkeys_seed_str"] = seed
        elif self.user:
            options |= {"user": self.user, "password": self.password.get_secret_value()}
        return options

    def check(self) -> str:
        """Return that the server can be used, or raise ServerError with the reason."""
        return asyncio.run(NatsConnection(self, "doctor", lambda _: asyncio.sleep(0)).check())


class NatsConnection:
    """Connects, has the connection used, and does so again when it is lost.

    `use(client)` runs for as long as a connection lasts; if it returns or raises, the connection is
    closed, and made again.
    """

    def __init__(
        self, login: NatsLogin, name: str, use: "Callable[[Client], Awaitable[None]]"
    ) -> None:
        self._options = login.options()
        self._name = name
        self._use = use
        self._is_secure = login.url.startswith("tls://")
        self.url = login.url
        self.problem = "not connected yet"
        """Why there is no connection; empty while there is one."""

    async def run(self) -> None:
        """Connect and be connected until this is cancelled."""
        from nats.errors import Error

        while True:
            client = self._client()
            try:
                await self._connect(client)
                self.problem = ""
                await self._use_until_lost(client)
            except (OSError, TimeoutError, Error) as error:
                self.problem = self._words(error)
            except Exception as error:
                self.problem = self._words(error)
                log.exception("a connection to NATS failed", url=self.url)
            finally:
                self.problem = self.problem or f"the connection to {self.url} is lost"
                with suppress(Exception):
                    await _within(CLOSE_LIMIT_S, client.close())
            await asyncio.sleep(PAUSE_S)

    async def check(self) -> str:
        """Return that the server can be used, or raise ServerError with the reason."""
        client = self._client()
        try:
            await self._connect(client)
        except Exception as error:
            raise ServerError(self._words(error)) from error
        finally:
            with suppress(Exception):
                await _within(CLOSE_LIMIT_S, client.close())
        return f"{self.url} can be used"

    def _client(self) -> "Client":
        from nats.aio.client import Client
        from nats.errors import SecureConnWantedError

        is_secure = self._is_secure

        class _Client(Client):
            def _connect_command(self) -> bytes:
                """Return what logs in; nats-py would send it in plain text if so told."""
                if is_secure and not self._server_info.get("tls_required"):
                    raise SecureConnWantedError
                return super()._connect_command()

        return _Client()

    async def _connect(self, client: "Client") -> None:
        errors: list[Exception] = []

        async def on_error(error: Exception) -> None:
            errors.append(error)
            if client.is_connected:
                log.warning("NATS refuses something", url=self.url, problem=self._words(error))

        try:
            connecting = client.connect(
                **self._options,
                name=self._name,
                error_cb=on_error,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=2,
                ping_interval=PING_S,
                max_outstanding_pings=1,
            )
            await _within(CONNECT_LIMIT_S, connecting)
        except Exception as error:
            raise (errors[-1] if errors else error) from error

    async def _use_until_lost(self, client: "Client") -> None:
        using = asyncio.ensure_future(self._use(client))
        try:
            while client.is_connected and not using.done():
                await asyncio.wait([using], timeout=CHECK_S)
            if client.is_connected:
                using.result()
        finally:
            using.cancel()
            await asyncio.wait([using], timeout=CLOSE_LIMIT_S)
            if using.done() and not using.cancelled():
                using.exception()  # the connection was lost while it used it

    def _words(self, error: Exception) -> str:
        """Return why there is no connection, in words without a secret."""
        from nats.errors import AuthorizationError, Error, SecureConnWantedError

        text = str(error).lower()
        if isinstance(error, AuthorizationError) or "authorization" in text:
            return f"{self.url} refuses the user, password or key"
        if isinstance(error, SecureConnWantedError):
            return f"{self.url} does not encrypt: write nats://, or set it up for TLS"
        if isinstance(error, ssl.SSLError):
            return f"{self.url} has no certificate that is trusted: {error.reason}"
        if isinstance(error, TimeoutError):
            return f"{self.url} does not answer"
        if isinstance(error, OSError):
            return f"{self.url} cannot be reached: {error.strerror or type(error).__name__}"
        words = str(error) if isinstance(error, Error) else type(error).__name__
        return f"{self.url}: {words}"


async def _within(limit_s: float, work: Coroutine[Any, Any, None]) -> None:
    """Await `work`, or raise TimeoutError; in a task: nats-py swallows cancellations."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait([task], timeout=limit_s)
    finally:
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        task.cancel()
    if not task.done():
        raise TimeoutError
    task.result()
