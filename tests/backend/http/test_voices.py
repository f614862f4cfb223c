"""The voices over HTTP: which there are, and how one sounds."""

import io
import threading
import wave
from pathlib import Path

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.speech import PROFILES, voice_names
from tests.backend.conftest import Gate
from tests.live import LiveServer
from tests.patience import until

TRY = {"voiceProfile": "calm_soothing", "text": "Good evening."}


def test_each_profile_has_its_voice(server: LiveServer) -> None:
    """The names are those of the engine that speaks."""
    with server.client() as client:
        voices = client.get("/v1/voices").json()["voices"]

    assert list(PROFILES) == [voice["profile"] for voice in voices]
    assert {"profile": "calm_soothing", "voice": "en-us+f1", "engine": "embedded"} in voices


def test_other_voices_are_named_as_they_are_chosen(tmp_path: Path) -> None:
    """A voices.toml counts, and a voice of Piper without a speaker has the name of its file."""
    voices_file = tmp_path / "voices.toml"
    voices_file.write_text('[piper.calm_soothing]\nvoice = "7"\n', "utf-8")
    settings = Settings(
        artifacts_dir=tmp_path,
        speech_engine="piper",
        speech_piper_model=tmp_path / "en_GB-alba.onnx",
        voices_file=voices_file,
    )

    names = voice_names(settings)

    assert ("7", "en_GB-alba") == (names["calm_soothing"], names["friendly_casual"])


def test_a_voice_speaks_and_leaves_nothing(server: LiveServer, root: Path) -> None:
    """The answer is a WAV; no file of it stays."""
    with server.client() as client:
        answer = client.post("/v1/voices/try", json=TRY)

    assert (200, "audio/wav") == (answer.status_code, answer.headers["content-type"])
    with wave.open(io.BytesIO(answer.content)) as sound:
        assert sound.getnframes() > 0.3 * sound.getframerate()
    assert [] == [path for path in root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"text": "?!"}, "text"),
        ({"text": "a" * 201}, "text"),
        ({"voiceProfile": "loud"}, "voiceProfile"),
    ],
)
def test_what_cannot_be_spoken_is_refused(
    server: LiveServer, change: dict[str, str], field: str
) -> None:
    """The problem names the field."""
    with server.client() as client:
        answer = client.post("/v1/voices/try", json=TRY | change)

    assert (422, field) == (answer.status_code, answer.json()["errors"][0]["field"])


def test_one_voice_is_tried_at_a_time(server: LiveServer, gate: Gate) -> None:
    """A second one is asked to wait; after the first it is spoken."""
    statuses: list[int] = []

    def ask() -> None:
        with server.client() as client:
            statuses.append(client.post("/v1/voices/try", json=TRY).status_code)

    first = threading.Thread(target=ask)
    first.start()
    until(lambda: gate.waiting == 1, "the first voice")
    ask()
    gate.opened.set()
    first.join()
    ask()

    assert [503, 200, 200] == statuses


def test_an_engine_that_fails_is_told(tmp_path: Path) -> None:
    """The problem has the reason, and the next try is not refused as a second one."""
    live = LiveServer(create_app(Settings(artifacts_dir=tmp_path), []))
    with live, live.client() as client:
        live.app.state.hosting.speech.close()
        answers = [client.post("/v1/voices/try", json=TRY) for _ in range(2)]

    assert [502, 502] == [answer.status_code for answer in answers]
    assert "stopped" in answers[0].json()["detail"]
