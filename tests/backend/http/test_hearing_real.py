"""Real recordings over HTTP, by the decoder and the embedded engine: each has its verdict."""

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from time import sleep
from typing import Any

import av
import numpy as np
import pytest

from backend.config import Settings
from backend.http import hearing
from backend.http.app import create_app
from backend.signals import SpeechHeard, speech_heard
from tests.backend.serving import READY, Serving
from tests.command import run
from tests.live import Answer, LiveServer, chat_body, get, post
from tests.patience import LIMIT_S
from tests.recordings import CONTAINERS, RATE, encode, spoken, tone

pytest.importorskip("moonshine_voice", reason="has no wheel for this machine")
pytestmark = pytest.mark.e2e

SENTENCE = "What does the water remember of the winter?"
WORDS = {"water", "remember", "winter"}
TRUNCATIONS = 200
WAIT_S = 0.05


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> "np.ndarray[Any, Any]":
    """Return the sentence as the embedded voice speaks it."""
    return spoken(SENTENCE, tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Return a server that understands, and counts no client's recordings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hearing, "PER_MINUTE", 10_000)
        root = tmp_path_factory.mktemp("artifacts")
        app = create_app(Settings(artifacts_dir=root, stt_engine="embedded", seed=1), [])
        with LiveServer(app) as server:
            yield server


def form(recording: bytes, filename: str = "recording.webm") -> bytes:
    """Return the body that a page sends."""
    head = f'--xq\r\nContent-Disposition: form-data; name="file"; filename="{filename}"\r\n\r\n'
    return head.encode() + recording + b"\r\n--xq--\r\n"


def speak(port: int, recording: bytes, filename: str = "recording.webm") -> Answer:
    body = form(recording, filename)
    return post(port, hearing.PATH, body, "Content-Type: multipart/form-data; boundary=xq")


def said(answer: Answer) -> set[str]:
    """Return the words of a transcript, each once, without signs."""
    assert 200 == answer.status, answer.body
    text = json.loads(answer.body)["transcript"].lower()
    return set("".join(c for c in text if c.isalpha() or c.isspace()).split())


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_is_understood(
    live: LiveServer, speech: "np.ndarray[Any, Any]", name: str
) -> None:
    """What browsers and people record is told by its content, whatever its name."""
    answer = speak(live.port, encode(speech, name), "recording.bin")

    assert said(answer) >= WORDS
    content = json.loads(answer.body)
    assert (CONTAINERS[name][2], "en", "embedded") == (
        *(content["mimeType"], content["languageCode"], content["engine"]),
    )
    assert abs(content["durationMs"] - 1000 * len(speech) / RATE) < 150


def picture(muxer: str, encoder: str) -> bytes:
    """Return a second of video without sound."""
    out = io.BytesIO()
    with av.open(out, "w", format=muxer) as container:
        stream: Any = container.add_stream(encoder, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(10):
            image = np.zeros((64, 64, 3), "u1")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


def hour_of_silence() -> bytes:
    """Return 93 kB of Ogg that hold an hour: a packet of 2 bytes for each 120 ms."""
    out = io.BytesIO()
    with av.open(out, "w", format="ogg", options={"page_duration": "30000000"}) as container:
        stream: Any = container.add_stream("libopus", rate=48_000)
        stream.layout = "mono"
        stream.codec_context.open()
        for number in range(30_000):
            packet = av.Packet(b"\x1b\x02")  # two frames of 60 ms without content, RFC 6716 3.2
            packet.stream, packet.time_base = stream, Fraction(1, 48_000)
            packet.pts = packet.dts = number * 5_760
            packet.duration = 5_760
            container.mux(packet)
    return out.getvalue()


def noise(duration_s: float, level: float) -> "np.ndarray[Any, Any]":
    return level * np.random.default_rng(1).standard_normal(round(duration_s * RATE))


BAD: dict[str, tuple[Callable[[], bytes], int | None, str]] = {
    "text": (lambda: b"What does the water remember?" * 99, 415, "no recording"),
    "one byte": (lambda: b"\x1a", 415, "no recording"),
    "zeros": (lambda: bytes(1_000_000), 415, "no recording"),
    "html": (lambda: b"<!doctype html><audio src=x>" * 99, 415, "no recording"),
    "playlist": (lambda: b"#EXTM3U\n/etc/passwd\n" * 9, 415, "no recording"),
    "png": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(999), 415, "no recording"),
    "zip": (lambda: b"PK\x03\x04" + bytes(999), 415, "no recording"),
    "head of webm": (lambda: b"\x1aE\xdf\xa3" + bytes(999), 415, "no recording"),
    "noise as mp3": (lambda: b"\xff\xfb\x90" + np.random.default_rng(1).bytes(9999), None, ""),
    "video webm": (lambda: picture("webm", "libvpx"), 415, "no recording"),
    "video mp4": (lambda: picture("mp4", "mpeg4"), 415, "no recording"),
    "hour of silence": (hour_of_silence, 422, "longer"),
    "61 seconds": (lambda: encode(tone(61), "webm"), 422, "longer"),
    "0.2 seconds": (lambda: encode(tone(0.2), "wav"), 422, "short"),
    "silence": (lambda: encode(0 * tone(2), "webm"), 422, "understood"),
    "faint noise": (lambda: encode(noise(2, 0.0005), "ogg"), 422, "understood"),
    "wav without samples": (lambda: encode(tone(1), "wav")[:44], None, ""),
}  # fmt: skip
"""What is sent, its status and a word of the sentence; None is any verdict on the recording."""


@pytest.mark.parametrize("name", BAD)
def test_a_bad_recording_has_its_verdict(live: LiveServer, name: str) -> None:
    """It is a client's error with a sentence, and the next visitor notices nothing."""
    make, status, word = BAD[name]

    answer = speak(live.port, make())

    assert answer.status in ({status} if status else {415, 422}), answer.body
    assert word in json.loads(answer.body)["detail"].lower()


def test_a_recording_cut_anywhere_has_its_verdict(
    live: LiveServer, speech: "np.ndarray[Any, Any]"
) -> None:
    """At 200 places: what is there is understood or refused, and never an error of the server."""
    whole = encode(speech, "webm")
    places = np.linspace(0, len(whole) - 1, TRUNCATIONS).astype(int)

    statuses = Counter(speak(live.port, whole[:place]).status for place in places)
    after = speak(live.port, whole)

    print(f"{TRUNCATIONS} truncated: {dict(statuses)}")
    assert statuses.keys() <= {200, 415, 422}
    assert statuses[200] > TRUNCATIONS // 2
    assert said(after) >= WORDS


def test_ten_visitors_at_once_are_answered(
    live: LiveServer, speech: "np.ndarray[Any, Any]"
) -> None:
    """Each is understood or told when to come again."""
    recording = encode(speech, "webm")

    with ThreadPoolExecutor(10) as visitors:
        answers = list(visitors.map(lambda _: speak(live.port, recording), range(10)))

    assert {200, 503} >= {answer.status for answer in answers}
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
    assert all(said(answer) >= WORDS for answer in answers if answer.status == 200)


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_kept_of_a_recording(
    tmp_path: Path, speech: "np.ndarray[Any, Any]", kept: bool
) -> None:
    """Nothing, on the bus neither; or all of it, with its paths, of which the sound is served."""
    recording = encode(speech, "webm")
    texts: list[str | None] = []

    def receive(_: object, *, event: SpeechHeard) -> None:
        texts.append(event.text)

    settings = Settings(artifacts_dir=tmp_path, stt_engine="embedded", stt_keep=kept)
    with LiveServer(create_app(settings, [])) as live, speech_heard.connected_to(receive):
        answer = json.loads(speak(live.port, recording).body)
        files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
        if kept:
            served = get(live.port, f"/v1/audio/{answer['audioPath']}")
            hidden = get(live.port, f"/v1/audio/{answer['transcriptPath']}")

    assert [answer["transcript"] if kept else None] == texts
    if not kept:
        assert [] == files
        assert not {"audioPath", "transcriptPath"} & answer.keys()
        return
    assert ["input.webm", "metadata.json", "transcript.json", "transcript.txt"] == files
    assert f"stt/sessions/{answer['sttSessionId']}/input.webm" == answer["audioPath"]
    assert (200, recording, 404) == (served.status, served.body, hidden.status)


def test_a_spoken_session_leaves_no_words_and_goes_whole(
    tmp_path: Path, speech: "np.ndarray[Any, Any]"
) -> None:
    """As processes, at their loudest: no word of the visitor in the log or a file; `prune` takes
    the recording, where one was kept, with the speech of its session.
    """
    loud = {"RR_STT_ENGINE": "embedded", "RR_LOG_LEVEL": "debug", "RR_TRACE_SIGNALS": "true"}
    recording = encode(speech, "mp4")
    with Serving(tmp_path, loud) as server:
        server.wait_for(READY)
        heard = json.loads(speak(server.port, recording).body)
        body = json.dumps(chat_body(1, message=heard["transcript"])).encode()
        chat = post(server.port, "/v1/chat", body, "Content-Type: application/json")
        assert 0 == server.stop()
    with Serving(tmp_path, {**loud, "RR_STT_KEEP": "true"}) as keeping:
        keeping.wait_for(READY)
        kept = json.loads(speak(keeping.port, recording).body)
        body = json.dumps(chat_body(1, message=kept["transcript"])).encode()
        post(keeping.port, "/v1/chat", body, "Content-Type: application/json")
        assert 0 == keeping.stop()

    sessions = tmp_path / "artifacts/tts/sessions"
    linked = [json.loads(path.read_bytes())["heard_id"] for path in sessions.glob("*/session.json")]
    pruned = run("prune", "--json", cwd=tmp_path, env={"RR_RETENTION_TTS_MAX_MB": "0.000001"})

    assert b"event: done" in chat.body
    assert heard["transcript"] not in "".join((*server.log, *keeping.log))
    assert {heard["sttSessionId"], kept["sttSessionId"]} == set(linked)
    assert {"removed"} == {row["result"] for row in json.loads(pruned.stdout)["sessions"]}
    assert [] == list((tmp_path / "artifacts/stt/sessions").iterdir())
    text = heard["transcript"].encode()
    assert [] == [p for p in tmp_path.rglob("*") if p.is_file() and text in p.read_bytes()]


def test_ten_uploads_at_once_take_a_bounded_memory(tmp_path: Path) -> None:
    """Ten of 24 MB take twice their size at most, and no file is made of them."""
    upload = form(b"RIFF" + bytes(24 * 2**20))
    with Serving(tmp_path, {"RR_STT_ENGINE": "embedded"}) as server:
        server.wait_for(READY)
        before = server.resident_mb()
        peak, ended = [before], threading.Event()

        def watch() -> None:
            while not ended.is_set():
                peak.append(server.resident_mb())
                sleep(WAIT_S)

        watching = threading.Thread(target=watch)
        watching.start()
        header = "Content-Type: multipart/form-data; boundary=xq"
        with ThreadPoolExecutor(10) as visitors:
            answers = list(
                visitors.map(lambda _: post(server.port, hearing.PATH, upload, header), range(10))
            )
        ended.set()
        watching.join(LIMIT_S)
        files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]

    print(f"ten uploads of 24 MB: {before:.0f} MB before, {max(peak):.0f} MB at most")
    assert {415, 503} >= {answer.status for answer in answers}
    assert max(peak) - before < 2 * 10 * 26
    assert {".lock", ".lock.json"} >= {path.name for path in files}
