"""The webhook plugin: posts signals, each URL from its own queue, as Standard Webhooks 1.0 says."""

import asyncio
import hmac
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import httpx2
import structlog
from pydantic import AnyHttpUrl

import plugins.waves.signals  # noqa: F401 - it defines those that are chosen by default
from backend.errors import PluginError
from backend.plugins import Host
from backend.services import RETRIED_STATUSES, RetryableError, RetryPolicy, retry_after_s
from backend.signals import TEXTS
from backend.tracking import EventQueue, PayloadError, Sent, to_json
from plugins.webhook.settings import WebhookSettings

log = structlog.get_logger(__name__)

POLICY = RetryPolicy(retries=5, pause_s=1)
ATTEMPT_LIMIT_S = 10.0
LIMIT_S = 120.0  # for all attempts of a delivery; a receiver may ask to wait
MAX_BODY_BYTES = 65_536


class _Poster:
    """Posts messages to URLs, and tells which of them take none."""

    def __init__(self, host: Host, settings: WebhookSettings, client: httpx2.AsyncClient) -> None:
        self._host, self._settings, self._client = host, settings, client
        self._key = b64decode(settings.secret.get_secret_value().removeprefix("whsec_"))
        self._problems: dict[AnyHttpUrl, str] = {}

    async def deliver(self, url: AnyHttpUrl, sent: Sent) -> None:
        row = {"type": sent.signal, "timestamp": sent.at, "data": sent.event}
        hidden = () if self._settings.texts else TEXTS
        try:
            body = to_json(row, self._host.artifacts.root, hidden=hidden)
            if len(body) > MAX_BODY_BYTES:
                raise PayloadError(f"{len(body)} bytes are more than {MAX_BODY_BYTES}")
            post = partial(self._post, url, f"msg_{uuid.uuid4().hex}", body)
            ends_at = asyncio.get_running_loop().time() + LIMIT_S
            await POLICY.run(post, service=str(url.host), ends_at=ends_at)
        except (PayloadError, RetryableError) as error:
            log.warning("not posted", signal=sent.signal, to=url.host, reason=str(error))

    async def _post(self, url: AnyHttpUrl, id_: str, body: bytes) -> None:
        """Post once; raise RetryableError if that failed for a reason that may pass."""
        now = str(int(time.time()))
        signed = hmac.digest(self._key, f"{id_}.{now}.".encode() + body, "sha256")
        headers = {"webhook-id": id_, "webhook-timestamp": now, "content-type": "application/json"}
        headers["webhook-signature"] = f"v1,{b64encode(signed).decode()}"
        request = self._client.stream("POST", str(url), content=body, headers=headers)
        problem, status, pause_s = "", 0, None
        try:
            async with asyncio.timeout(ATTEMPT_LIMIT_S), request as answer:
                status, pause_s = answer.status_code, retry_after_s(answer.headers)
                problem = "" if answer.is_success else f"{url.host} answers {status}"
        except (httpx2.HTTPError, OSError) as error:
            problem = f"{url.host} does not answer ({type(error).__name__})"
        self._problems[url] = problem
        problems = "; ".join(filter(None, self._problems.values()))
        self._host.report("degraded" if problems else "ok", problems)
        if problem and status in {0, *RETRIED_STATUSES}:
            raise RetryableError(problem, pause_s)


@asynccontextmanager
async def lifespan(host: Host, settings: WebhookSettings) -> AsyncIterator[None]:
    """Post the chosen signals while the host runs."""
    stop = asyncio.Event()

    def gauge(number: int, name: str, doc: str, read: Callable[[], float]) -> None:
        host.gauge(f"{name}_{number}", doc, read)

    async def run(queue: EventQueue[Sent]) -> None:
        async with queue.running():
            await stop.wait()

    async with httpx2.AsyncClient(timeout=None) as client:
        deliver, urls = _Poster(host, settings, client).deliver, enumerate(settings.urls, 1)
        queues = [EventQueue(partial(deliver, url), partial(gauge, n)) for n, url in urls]
        runs = [asyncio.create_task(run(queue), name="webhook") for queue in queues]
        try:
            with ExitStack() as stack:
                try:
                    for queue in queues:
                        stack.enter_context(queue.listening(settings.signals))
                except PluginError as error:
                    raise PluginError(f"RR_WEBHOOK_SIGNALS: {error}") from error
                yield
        finally:
            stop.set()
            await asyncio.gather(*runs, return_exceptions=True)
