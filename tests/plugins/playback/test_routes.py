"""The server plays test signals on the card that it holds, here a file."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fastapi.testclient import TestClient

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered
from plugins.playback.settings import plugin
from tests.patience import until

RATE = 8000
PATH = "/v1/playback/soundcheck"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Return a client of a server that plays into a file."""
    monkeypatch.setenv("RR_PLAYBACK_ENABLED", "true")
    monkeypatch.setenv("RR_PLAYBACK_FILE", str(tmp_path / "all.wav"))
    monkeypatch.setenv("RR_PLAYBACK_RATE", str(RATE))
    settings = Settings(artifacts_dir=tmp_path / "artifacts")
    with TestClient(
        create_app(settings, [Discovered("playback", plugin)]), "http://127.0.0.1"
    ) as client:
        until(lambda: bool(client.get("/v1/playback").json()["output"]), "the file is open")
        yield client


def peak(client: TestClient, channel: int) -> float:
    return float(client.get("/v1/playback").json()["channels"][channel - 1]["peak"])


def test_a_signal_is_played_and_stopped(client: TestClient, tmp_path: Path) -> None:
    """It says its channel's name; the stop is soft, and the other channels are silent."""
    body = {"channel": 2, "signal": "buzz", "levelDb": -20}

    started = client.post(PATH, json=body).json()

    signal_id = started.pop("id")
    assert {**body, "name": "dish 2", "durationS": 5.0} == started
    assert signal_id == client.get("/v1/playback").json()["check"] > 0
    until(lambda: peak(client, 2) > 0.09, "it is heard")
    assert 204 == client.delete(PATH).status_code
    assert 0 == client.get("/v1/playback").json()["check"]
    until(lambda: peak(client, 2) < 0.01, "it is silent")
    path = tmp_path / "all.wav"
    until(lambda: soundfile.info(path).frames > 3 * RATE, "its header tells of it")
    y, _ = soundfile.read(path)
    assert not y[:, [0, 2, 3, 4, 5]].any()
    assert np.abs(np.diff(y[:, 1])).max() < 0.004  # as of the tone itself: nowhere a step


def test_a_number_is_spoken(client: TestClient) -> None:
    """On the channel of that name, by the voice of the server."""
    started = client.post(PATH, json={"channel": "dish 5", "signal": "number", "levelDb": -20})

    assert (5, "dish 5") == (started.json()["channel"], started.json()["name"])
    assert 0.1 < started.json()["durationS"] < 3
    until(lambda: peak(client, 5) > 0.05, "it is heard")


def test_without_a_voice_the_reason_is_said(client: TestClient) -> None:
    """And nothing is played; a signal that is no speech still is."""
    client.app.state.hosting.speech.close()  # type: ignore[attr-defined]

    refused = client.post(PATH, json={"channel": 1, "signal": "number"})
    played = client.post(PATH, json={"channel": 1, "signal": "buzz"})

    assert (502, 200) == (refused.status_code, played.status_code)
    assert "Nothing was spoken: the embedded voice" in refused.json()["detail"]


def test_the_level_is_quiet_and_at_most_the_cap(client: TestClient) -> None:
    """Nobody said how loud: -40 dB. Somebody said too loud: the cap of the channel."""
    quiet = client.post(PATH, json={"channel": 1, "signal": "number"}).json()
    loud = client.post(PATH, json={"channel": 1, "signal": "sweep", "levelDb": 0}).json()

    assert [-40, -12] == [quiet["levelDb"], loud["levelDb"]]
    assert 20 == loud["durationS"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"channel": 7, "signal": "buzz"}, 404),
        ({"channel": 0, "signal": "buzz"}, 404),
        ({"channel": "dish 7", "signal": "buzz"}, 404),
        ({"channel": True, "signal": "buzz"}, 422),
        ({"channel": 1, "signal": "song"}, 422),
        ({"channel": 1, "signal": "buzz", "levelDb": 6}, 422),
    ],
)
def test_what_there_is_not_is_refused(
    client: TestClient, body: dict[str, object], status: int
) -> None:
    """A channel, a signal, a level."""
    assert status == client.post(PATH, json=body).status_code


@pytest.mark.parametrize("channel", [True, 1.5, None, ["dish 1"]])
def test_a_wrong_channel_is_named_once(client: TestClient, channel: object) -> None:
    """By the field that was sent, whichever of its two kinds it is not."""
    refused = client.post(PATH, json={"channel": channel, "signal": "buzz"}).json()

    assert "The request is wrong in channel: must be a number or a name." == refused["detail"]
    assert ["channel"] == [one["field"] for one in refused["errors"]]


def test_each_channel_is_told_as_dishes_toml_has_it(client: TestClient) -> None:
    """Every key, so that another program can compare them."""
    told = client.get("/v1/playback").json()["channels"][1]

    del told["peak"]
    assert told.pop("cap") == pytest.approx(10 ** (-12 / 20))
    assert {
        "name": "dish 2",
        "plays": ["slot 2"],
        "levelDb": -20,
        "capDb": -12,
        "notch": [],
        "polarity": 1,
        "delayMs": 0,
    } == told


def test_nothing_is_played_after_an_emergency_stop(client: TestClient) -> None:
    """Until it is released; the reason is said."""
    body = {"channel": 1, "signal": "buzz"}
    client.post("/v1/playback/stop")

    refused = client.post(PATH, json=body)
    client.post("/v1/playback/release")
    played = client.post(PATH, json=body)

    assert (409, 200) == (refused.status_code, played.status_code)
    assert "stopped" in refused.json()["detail"]


def test_a_stop_without_a_signal_does_nothing(client: TestClient) -> None:
    """It may be sent at any time."""
    assert 204 == client.delete(PATH).status_code
