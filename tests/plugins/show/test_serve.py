"""`serve` as a process of its own: what only uvicorn as it is started there can show."""

import json
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.backend.serving import READY, Serving
from tests.patience import LIMIT_S

pytestmark = pytest.mark.e2e

REQUEST_LIMIT_S = "0.3"


def test_a_websocket_outlives_the_limit_of_a_request(tmp_path: Path) -> None:
    """RR_REQUEST_LIMIT_S ends requests that do not come, not clients that listen; a stop does."""
    env = {
        "RR_REQUEST_LIMIT_S": REQUEST_LIMIT_S,
        "RR_SHOW_HEARTBEAT_S": "0.2",
        "RR_WAVES_ENABLED": "false",
    }
    with Serving(tmp_path, env) as server:
        server.wait_for(READY)
        with connect(f"ws://127.0.0.1:{server.port}/v1/events", proxy=None) as socket:
            beats = [json.loads(socket.recv(LIMIT_S)) for _ in range(5)]
            code = server.stop()

    assert ["heartbeat"] * 5 == [beat["type"] for beat in beats]
    assert 0 == code
    assert not [line for line in server.log if "error" in line.lower()]
