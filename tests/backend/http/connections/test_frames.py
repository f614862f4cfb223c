"""What no WebSocket may hold ends it with the code for that, and with one line in the log."""

import socket
import struct
from pathlib import Path

import pytest

from tests.backend.serving import READY, Serving
from tests.patience import LIMIT_S

pytestmark = pytest.mark.e2e

HANDSHAKE = (
    b"GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
MASK = b"\0\0\0\0"
FRAMES = {
    "text in latin-1": (b"\x81\x84" + MASK + b"caf\xe9", 1007),
    "text that ends in a character": (b"\x81\x81" + MASK + b"\xc3", 1007),
    "text in two parts": (b"\x01\x81" + MASK + b"\xc3\x80\x81" + MASK + b"\xff", 1007),
    "an opcode without meaning": (b"\x83\x80" + MASK, 1002),
    "no mask": (b"\x81\x02hi", 1002),
    "reserved bits": (b"\xf1\x80" + MASK, 1002),
    "2 GB": (b"\x81\xff" + struct.pack("!Q", 2**31) + MASK, 1009),
}


def close_code(port: int, frame: bytes) -> int:
    """Send `frame` after the handshake; return the code of the close frame that is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S) as client:
        client.sendall(HANDSHAKE)
        received = client.recv(65_536)  # a client waits for the answer
        client.sendall(frame)
        received += b"".join(iter(lambda: client.recv(65_536), b""))
    _, _, frames = received.partition(b"\r\n\r\n")
    while not frames.startswith(b"\x88"):
        frames = frames[2 + frames[1] :]
    return int.from_bytes(frames[2:4])


def test_each_is_closed_with_its_code(tmp_path: Path) -> None:
    """The log has a line for each code, none for one that comes again, and no traceback."""
    with Serving(tmp_path, {"RR_WAVES_ENABLED": "false"}) as server:
        server.wait_for(READY)
        codes = {name: close_code(server.port, frame) for name, (frame, _) in FRAMES.items()}
        server.stop()

    assert {name: code for name, (_, code) in FRAMES.items()} == codes
    lines = [line for line in server.log if "WebSocket closed" in line]
    assert {"1002", "1007", "1009"} == {line.partition("code=")[2][:4] for line in lines}
    assert 3 == len(lines)
    assert not any("Traceback" in line or "error" in line for line in server.log)
