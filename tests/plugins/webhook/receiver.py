"""A receiver of webhooks, as somebody would write it from the convention's text."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.patience import LIMIT_S

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified(self) -> dict[str, Any]:
        """Return its JSON, having checked age and signature."""
        sent_at = self.headers["webhook-timestamp"]
        assert abs(time.time() - int(sent_at)) < 300
        signed = b".".join((self.id.encode(), sent_at.encode(), self.body))
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        given = [one.split(",", 1) for one in self.headers["webhook-signature"].split(" ")]
        assert any(kind == "v1" and hmac.compare_digest(expected, one) for kind, one in given)
        message: dict[str, Any] = json.loads(self.body)
        return message


class Receiver:
    """A server on loopback that answers by `answer(number)`: the status of its n-th request."""

    def __init__(self, answer: Callable[[int], int] = lambda _: 204) -> None:
        self.deliveries: list[Delivery] = []
        self.released = threading.Event()
        self.released.set()
        self.location = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.deliveries.append(Delivery(self.path, headers, body))
                number = len(receiver.deliveries)
                receiver.released.wait(LIMIT_S)
                self.send_response(answer(number))
                if receiver.location:
                    self.send_header("location", receiver.location)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - as http.server names it

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None: ...  # who hung up does not matter

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join(LIMIT_S)
        self._server.server_close()
