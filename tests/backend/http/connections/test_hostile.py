"""Hostile requests, byte by byte over raw sockets, against a server process of its own."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.backend.serving import READY, Serving
from tests.live import get
from tests.patience import LIMIT_S

pytestmark = pytest.mark.e2e

ANSWER_LIMIT_S = 30.0
REQUEST_LIMIT_S = 1.5
QUIET_S = 0.1
"""After this no further byte of an answer on a kept connection is expected."""
MEMORY_MB = 20
CANARY = b"xqcanary"
SECRET = b"xqsecret"
TURN = "tts/sessions/20261122T000000Z-00000000/turn_1"
WAV = f"/v1/audio/{TURN}/slot-1.wav"
CONTENT = b"RIFF" + bytes(range(256)) * 200
LEAKS = (CANARY, SECRET, b"Traceback", b'File "', b".py", b"root:x:0")


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent, and the statuses that are an answer; 0 stands for a closed connection."""

    sent: bytes
    statuses: tuple[int, ...]


def request(
    target: str,
    *headers: str,
    method: str = "GET",
    host: str | None = "127.0.0.1",
    body: bytes = b"",
) -> bytes:
    """Return a request as it goes over the wire, in the encoding of a browser's address bar."""
    lines = [f"{method} {target} HTTP/1.1", *([f"Host: {host}"] if host is not None else [])]
    lines += [*headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("utf-8") + body


def _paths() -> dict[str, Case]:
    name = "xqcanary"
    refused = {
        "traversal": "/v1/audio/tts/../secret.wav",
        "traversal to the top": "/v1/audio/" + "../" * 12 + "etc/passwd",
        "traversal before the route": "/v1/audio/../../etc/passwd",
        "%2e": "/v1/audio/tts/%2e%2e/secret.wav",
        "%2e and %2f": "/v1/audio/tts%2f%2e%2e%2fsecret.wav",
        "%252e": "/v1/audio/tts/%252e%252e/secret.wav",
        "%25252e": "/v1/audio/tts/%25252e%25252e/secret.wav",
        "half encoded": "/v1/audio/tts/.%2e/secret.wav",
        "overlong dot": "/v1/audio/tts/%c0%ae%c0%ae/secret.wav",
        "overlong slash": "/v1/audio/tts/..%c0%afsecret.wav",
        "overlong of three bytes": "/v1/audio/tts/..%e0%80%afsecret.wav",
        "fullwidth slash": "/v1/audio/tts/..%ef%bc%8fsecret.wav",
        "division slash": "/v1/audio/tts/..%e2%88%95secret.wav",
        "one dot leader": "/v1/audio/tts/%e2%80%a4%e2%80%a4/secret.wav",
        "utf-16 escape": "/v1/audio/tts/..%u2215secret.wav",
        "NUL at the end": f"{WAV}%00",
        "NUL before the suffix": f"/v1/audio/{TURN}/session.json%00.wav",
        "line break": f"{WAV}%0a",
        "carriage return": f"{WAV}%0d%0aX-{name}:%201",
        "backslash": "/v1/audio/tts/..%5csecret.wav",
        "semicolon": "/v1/audio/tts/..;/secret.wav",
        "drive": "/v1/audio/C:/secret.wav",
        "device": "/v1/audio/tts/sessions/NUL.wav",
        "alternate stream": f"{WAV}::$DATA",
        "short name": "/v1/audio/tts/SESSIO~1/x.wav",
        "dotfile": "/v1/audio/.env",
        "dotfile in the tree": "/v1/audio/tts/.env",
        "dotfile called wav": f"/v1/audio/{TURN}/.hidden.wav",
        "temporary directory": "/v1/audio/.tmp/draft.wav",
        "temporary name": f"/v1/audio/{TURN}/slot-1.wav.tmp",
        "lock file": "/v1/audio/.lock.json",
        "session.json": "/v1/audio/tts/sessions/20261122T000000Z-00000000/session.json",
        "link to a file": f"/v1/audio/{TURN}/link.wav",
        "link to a directory": "/v1/audio/tts/sessions/linked/stolen.wav",
        "beside the trees": "/v1/audio/secret.wav",
        "directory": "/v1/audio/tts/",
        "a name of 5,000 characters": f"/v1/audio/tts/{name * 625}.wav",
        "a path of 2,000 parts": "/v1/audio/tts/" + "a/" * 2000 + "b.wav",
        "bad escapes": "/v1/audio/tts/%zz%1%.wav",
        "double slash": "//etc/passwd",
        "no such route": f"/{name}",
        "absolute": f"http://127.0.0.1/v1/audio/tts/../secret.wav?{name}",
        "absolute elsewhere": f"http://{name}.example/",
        "a script": f"/v1/audio/<script>{name}</script>.wav",
    }
    return {f"path: {key}": Case(request(target), (400, 404)) for key, target in refused.items()}


def _ranges() -> dict[str, Case]:
    forms = {
        "a thousand": "bytes=" + ",".join(f"{n}-{n}" for n in range(1000)),
        "overlapping": "bytes=" + "0-," * 500 + "0-",
        "huge": "bytes=0-" + "9" * 400,
        "huge start": "bytes=" + "9" * 18 + "-",
        "beyond 64 bits": "bytes=18446744073709551616-",
        "negative": "bytes=--1",
        "zero suffix": "bytes=-0",
        "backwards": "bytes=9-1",
        "garbage": "bytes=xqcanary",
        "no number": "bytes=-",
        "another unit": "xqcanary=0-1",
        "float": "bytes=0.5-1e3",
        "other digits": "bytes=\u0661-\u0662",
    }
    return {
        f"range: {key}": Case(request(WAV, f"Range: {form}"), (200, 206, 400, 416))
        for key, form in forms.items()
    }


def _headers() -> dict[str, Case]:
    chat = "/v1/chat"
    json_type = "Content-Type: application/json"
    return {
        "header: 1 MB": Case(request("/v1/agents", "X-A: " + "xqcanary" * 131_072), (0, 400, 431)),
        "header: 10,000 of them": Case(
            request("/v1/agents", *["X-A: xqcanary"] * 10_000), (0, 400, 431)
        ),
        "header: 1 MB target": Case(request("/" + "xqcanary" * 131_072), (0, 400, 414)),
        "header: no colon": Case(request("/v1/agents", "xqcanary"), (400,)),
        "header: blank in the name": Case(request("/v1/agents", "X xqcanary: 1"), (400,)),
        "header: NUL": Case(request("/v1/agents", "X-A: \0xqcanary"), (400,)),
        "header: bare CR": Case(request("/v1/agents", "X-A: a\rxqcanary: b"), (200, 400)),
        "header: folded": Case(request("/v1/agents", "X-A: a\r\n xqcanary"), (200, 400)),
        "host: none": Case(request("/v1/agents", host=None), (400, 421)),
        "host: empty": Case(request("/v1/agents", host=""), (400, 421)),
        "host: foreign": Case(request("/v1/agents", host="xqcanary.example"), (421,)),
        "host: rebound": Case(request("/v1/agents", host="127.0.0.1.xqcanary.example"), (421,)),
        "host: with a user": Case(request("/v1/agents", host="127.0.0.1@xqcanary"), (421,)),
        "host: two": Case(request("/v1/agents", "Host: xqcanary"), (400, 421)),
        "host: bad port": Case(request("/v1/agents", host="127.0.0.1:xqcanary"), (400, 421)),
        "host: escape sequence": Case(request("/v1/agents", host="\x1b[31mxqcanary"), (400, 421)),
        "origin: foreign": Case(
            request(chat, "Origin: http://xqcanary.example", method="POST"), (403,)
        ),
        "origin: null": Case(request(chat, "Origin: null", method="POST"), (403,)),
        "origin: looks like ours": Case(
            request(chat, "Origin: http://127.0.0.1.xqcanary.example", method="POST"), (403,)
        ),
        "origin: preflight": Case(
            request(
                chat,
                "Origin: http://xqcanary.example",
                "Access-Control-Request-Method: POST",
                method="OPTIONS",
            ),
            (403,),
        ),
        "smuggling: CL and TE": Case(
            request(
                chat,
                json_type,
                "Content-Length: 6",
                "Transfer-Encoding: chunked",
                method="POST",
                body=b"0\r\n\r\nGET /v1/agents HTTP/1.1\r\n\r\n",
            ),
            (400,),
        ),
        "smuggling: chunks in HTTP/1.0": Case(
            request(
                chat, json_type, "Transfer-Encoding: chunked", method="POST", body=b"0\r\n\r\n"
            ).replace(b" HTTP/1.1", b" HTTP/1.0"),
            (400,),
        ),
        "smuggling: two lengths": Case(
            request(
                chat, json_type, "Content-Length: 2", "Content-Length: 5", method="POST", body=b"{}"
            ),
            (400,),
        ),
        "smuggling: two lengths in one": Case(
            request(chat, json_type, "Content-Length: 2, 5", method="POST", body=b"{}"), (400,)
        ),
        "smuggling: signed length": Case(
            request(chat, json_type, "Content-Length: +2", method="POST", body=b"{}"), (400,)
        ),
        "smuggling: negative length": Case(
            request(chat, json_type, "Content-Length: -1", method="POST"), (400,)
        ),
        "smuggling: huge length": Case(
            request(chat, json_type, "Content-Length: " + "9" * 30, method="POST"), (400, 413)
        ),
        "smuggling: unknown coding": Case(
            request(chat, json_type, "Transfer-Encoding: xqcanary", method="POST"), (400, 501)
        ),
        "smuggling: chunked twice": Case(
            request(chat, json_type, "Transfer-Encoding: chunked, chunked", method="POST"),
            (400, 501),
        ),
        "smuggling: bad chunk size": Case(
            request(
                chat, json_type, "Transfer-Encoding: chunked", method="POST", body=b"xqcanary\r\n"
            ),
            (0, 400),
        ),
        "smuggling: huge chunk": Case(
            request(
                chat,
                json_type,
                "Transfer-Encoding: chunked",
                method="POST",
                body=b"f" * 30 + b"\r\n",
            ),
            (0, 400, 408),
        ),
        "expect: unknown": Case(
            request(chat, json_type, "Expect: xqcanary", "Content-Length: 0", method="POST"),
            (400, 417, 422),
        ),
    }


def _methods() -> dict[str, Case]:
    other = ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "XQCANARY", "get", "PRI")
    found = {
        f"method: {method}": Case(request("/v1/agents", "X-A: xqcanary", method=method), (400, 405))
        for method in other
    }
    found["method: CONNECT"] = Case(request("xqcanary:443", method="CONNECT"), (0, 400, 404, 405))
    found["method: DELETE a WAV"] = Case(request(WAV, method="DELETE"), (405,))
    found["method: PUT a WAV"] = Case(
        request(WAV, "Content-Length: 8", method="PUT", body=CANARY), (405,)
    )
    found["method: overridden"] = Case(
        request(WAV, "X-HTTP-Method-Override: DELETE", method="POST"), (405,)
    )
    return found


def _websockets() -> dict[str, Case]:
    upgrade = ("Upgrade: websocket", "Sec-WebSocket-Version: 13")
    key = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="

    def opening(target: str, *headers: str) -> bytes:
        return request(target, *headers).replace(b"Connection: close", b"Connection: Upgrade")

    return {
        "websocket: on a route": Case(opening("/v1/agents", *upgrade, key), (403, 404)),
        "websocket: on the stream": Case(opening("/v1/chat", *upgrade, key), (403, 404)),
        "websocket: foreign page": Case(
            opening("/v1/agents", *upgrade, key, "Origin: http://xqcanary.example"), (403,)
        ),
        "websocket: no key": Case(opening("/v1/agents", *upgrade), (0, 400, 403, 426)),
        "websocket: bad version": Case(
            opening("/v1/agents", "Upgrade: websocket", "Sec-WebSocket-Version: 99", key),
            (0, 400, 403, 426),
        ),
        "websocket: frames after it": Case(
            opening("/v1/agents", *upgrade, key) + b"\x81\x88\0\0\0\0xqcanary", (403, 404)
        ),
        "websocket: frames instead of HTTP": Case(b"\x81\x88\0\0\0\0xqcanary\r\n\r\n", (0, 400)),
        "upgrade: h2c": Case(opening("/v1/health", "Upgrade: h2c"), (200, 400)),
        "upgrade: xqcanary": Case(opening("/v1/health", "Upgrade: xqcanary"), (200, 400)),
    }


def _not_http() -> dict[str, Case]:
    health = b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    return {
        "not HTTP: words": Case(b"xqcanary\r\n\r\n", (400,)),
        "not HTTP: zeros": Case(bytes(100), (0, 400)),
        "not HTTP: TLS": Case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(500), (0, 400)),
        "not HTTP: HTTP/2": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (0, 400, 421, 505)),
        "not HTTP: version 9": Case(health.replace(b"1.1", b"9.9"), (200, 400, 505)),
        "not HTTP: no version": Case(b"GET /xqcanary\r\n\r\n", (0, 400)),
        "not HTTP: line ends without CR": Case(health.replace(b"\r", b""), (200, 400)),
        "not HTTP: 100 kB of line ends": Case(b"\r\n" * 50_000, (0, 400)),
        "slow: nothing": Case(b"", (0,)),
        "slow: half a line": Case(b"GET /xqcanary", (0,)),
        "slow: half a head": Case(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: xqcanary", (0,)),
        "slow: half a body": Case(
            request("/v1/chat", "Content-Type: application/json", "Content-Length: 99",
                    method="POST", body=b'{"message": "xqcanary'),
            (408,),
        ),
        "slow: no body": Case(
            request("/v1/chat", "Content-Type: application/json", "Content-Length: 99",
                    method="POST"),
            (408,),
        ),
        "slow: half a chunk": Case(
            request("/v1/chat", "Content-Type: application/json", "Transfer-Encoding: chunked",
                    method="POST", body=b"ff\r\nxqcanary"),
            (408,),
        ),
        "pipelined: a hundred": Case(health * 100, (200,)),
        "pipelined: garbage after a request": Case(health + b"xqcanary\r\n\r\n", (200,)),
        "pipelined: body on a GET": Case(
            request("/v1/health", "Content-Length: 8", body=CANARY), (200,)
        ),
        "pipelined: a second request in a refused body": Case(
            request("/v1/reset", "Content-Length: 999999", method="POST", body=health), (413,)
        ),
    }  # fmt: skip


CASES = {**_paths(), **_ranges(), **_headers(), **_methods(), **_websockets(), **_not_http()}


@contextmanager
def under_attack(home: Path, limit_s: float = REQUEST_LIMIT_S) -> Iterator[Serving]:
    """Run a server with one WAV to serve and secrets all around it."""
    root, outside = home / "artifacts", home / "outside"
    (root / TURN).mkdir(parents=True)
    (root / ".tmp").mkdir()
    outside.mkdir()
    (root / TURN / "slot-1.wav").write_bytes(CONTENT)
    for hidden in (
        root / ".env",
        root / "secret.wav",
        root / ".tmp" / "draft.wav",
        root / "tts" / ".env",
        root / TURN / ".hidden.wav",
        root / TURN / "slot-1.wav.tmp",
        root / TURN / "session.json",
        root / TURN / ".." / "session.json",
        outside / "stolen.wav",
    ):
        hidden.write_bytes(SECRET)
    (root / TURN / "link.wav").symlink_to(outside / "stolen.wav")
    (root / "tts" / "sessions" / "linked").symlink_to(outside, target_is_directory=True)
    env = {"RR_WAVES_ENABLED": "false", "RR_REQUEST_LIMIT_S": str(limit_s)}
    with Serving(home, env) as serving:
        serving.wait_for(READY)
        yield serving


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return a server that is `under_attack`."""
    with under_attack(tmp_path_factory.mktemp("home")) as serving:
        yield serving


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return a server that is `under_attack` and waits long for a request."""
    with under_attack(tmp_path_factory.mktemp("home"), LIMIT_S) as serving:
        yield serving


def converse(port: int, sent: bytes) -> bytes:
    """Send and return the whole answer, whose first byte or end must come in time."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_LIMIT_S) as connection:
        with suppress(ConnectionError):  # answered or closed before everything was read
            connection.sendall(sent)
        try:
            while chunk := connection.recv(65_536):
                received += chunk
                connection.settimeout(QUIET_S)
        except ConnectionError:
            pass
        except TimeoutError:
            assert received, "neither answered nor closed"
    return received


def status_of(received: bytes) -> int:
    """Return the status of the first answer; 0 if there is none."""
    return int(received.split(b" ", 2)[1]) if received else 0


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_request_gets_nothing(attacked: Serving, name: str) -> None:
    """It is answered or cut off in time, learns nothing, and harms nobody who comes after it."""
    case = CASES[name]

    received = converse(attacked.port, case.sent)

    assert status_of(received) in case.statuses, received[:300]
    for leak in LEAKS:
        assert leak not in received
    if name.startswith("range") and status_of(received) in {200, 206}:
        assert received.partition(b"\r\n\r\n")[2] in CONTENT
    assert CONTENT == get(attacked.port, WAV).body


def test_the_table_is_long_enough() -> None:
    """There are at least eighty hostile requests."""
    assert 80 <= len(CASES)


def post_head(*headers: str) -> bytes:
    """Return the head of a chat request."""
    return request("/v1/chat", "Content-Type: application/json", *headers, method="POST")


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
def test_a_body_of_100_mb_costs_no_memory(attacked: Serving, chunked: bool) -> None:
    """It is refused with 413 while the server's memory stays where it was."""
    before_mb, most_mb = attacked.resident_mb(), 0.0
    piece = CANARY * 125_000
    chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
    head = post_head("Transfer-Encoding: chunked" if chunked else "Content-Length: 100000000")

    with socket.create_connection(("127.0.0.1", attacked.port), timeout=LIMIT_S) as connection:
        with suppress(ConnectionError):  # the answer may come in the middle of the first chunk
            connection.sendall(head + (chunk if chunked else b""))
        received = connection.recv(65_536)
        with suppress(ConnectionError):  # cut off
            for _ in range(100):
                connection.sendall(chunk if chunked else piece)
                most_mb = max(most_mb, attacked.resident_mb())

    assert 413 == status_of(received)
    assert CANARY not in received
    assert most_mb - before_mb < MEMORY_MB
    assert 200 == get(attacked.port, "/v1/health").status


def test_headers_without_end_cost_no_memory(attacked: Serving) -> None:
    """A head of 50 MB ends in an error, early, and is not kept."""
    before_mb, sent_mb = attacked.resident_mb(), 0

    with socket.create_connection(("127.0.0.1", attacked.port), timeout=LIMIT_S) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        with suppress(ConnectionError):
            for sent_mb in range(50):  # noqa: B007 - how far it came
                connection.sendall((b"X-A: " + CANARY * 12 + b"\r\n") * 10_000)

    assert sent_mb < 49
    assert attacked.resident_mb() - before_mb < MEMORY_MB


@contextmanager
def idle_connections(port: int) -> Iterator[list[socket.socket]]:
    """Open two hundred connections that begin a request and go no further."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), LIMIT_S))
            for _ in range(200)
        ]
        for number, connection in enumerate(opened):
            connection.sendall(b"GET / HTTP/1.1\r\nX-A: "[: number % 20])
        yield opened


def test_connections_that_say_nothing_are_closed(attacked: Serving) -> None:
    """Idle connections are gone after the limit for a request."""
    ends = []
    with idle_connections(attacked.port) as idle:
        for connection in idle:
            try:
                ends.append(connection.recv(1))
            except ConnectionError:
                ends.append(b"")

    assert [b""] * 200 == ends


def test_connections_that_say_nothing_hold_nobody_up(patient: Serving) -> None:
    """Others are served while they are there."""
    with idle_connections(patient.port) as idle:
        answer = get(patient.port, WAV)
        cut, _, _ = select.select(idle, [], [], 0)

    assert (200, CONTENT) == (answer.status, answer.body)
    assert [] == cut


def test_a_request_in_small_pieces_is_answered(patient: Serving) -> None:
    """The limit is for the whole request; one that comes in pieces within it is well."""
    with socket.create_connection(("127.0.0.1", patient.port), timeout=LIMIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request("/v1/health"):
            connection.sendall(bytes([byte]))

        assert b"HTTP/1.1 200 OK" in connection.recv(65_536)


def test_the_log_has_no_traceback_and_no_echo(attacked: Serving) -> None:
    """After all of that the log tells of refused requests, and of them only names and origins."""
    converse(attacked.port, CASES["host: foreign"].sent)  # the tests above may run elsewhere
    refused = [line for line in attacked.log if "request refused: " in line]
    log = "".join(line for line in attacked.log if line not in refused)

    assert "Traceback" not in log
    assert "canary" not in log.lower()
    assert "\x1b" not in "".join(attacked.log)
    assert 0 < len(refused) <= 12, "one for each name and origin"
