"""The client of a service: how its requests end."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any

import pytest

from backend.errors import SpeechError
from backend.services import Service, ServiceClient
from tests.patience import LIMIT_S, SOON_S


class Client(ServiceClient):
    """The client of a service without an address."""

    error = SpeechError
    max_bytes = 0

    def __init__(self) -> None:
        super().__init__(Service("tide", "http://tide.invalid", {}, "/", "KEY"), timeout_s=LIMIT_S)


def test_a_client_that_was_never_used_closes() -> None:
    """An engine that never spoke has no thread, and closing it twice does nothing."""
    before = threading.active_count()
    client = Client()

    client.close()
    client.close()

    assert before == threading.active_count()
    with pytest.raises(SpeechError, match="tide was stopped with the installation"):
        client.check()


@pytest.mark.e2e
def test_closing_does_not_wait_for_a_thread_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup of a host name cannot be cancelled: closing leaves it and ends the request."""
    begun, release = threading.Event(), threading.Event()

    def look_up(*_: Any, **__: Any) -> Any:
        begun.set()
        release.wait(2 * SOON_S)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    client = Client()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(client.check)
        assert begun.wait(LIMIT_S)
        started = monotonic()

        client.close()

        assert monotonic() - started < SOON_S
        with pytest.raises(SpeechError, match="was stopped"):
            asking.result(SOON_S)
        release.set()
