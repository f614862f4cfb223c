"""Transcripts from services, over real HTTP: every mode of every service has its result."""

import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from time import monotonic
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from backend.errors import HearingError
from backend.hearing import SAMPLE_RATE, Transcript, Word
from backend.hearing.online import REQUESTS, RemoteEngine, read_transcript
from backend.services import RetryPolicy, elevenlabs, openai
from tests.backend.hearing.online.stubs import TRANSCRIBERS, WORDS
from tests.backend.speech.stubs import KEY, Stub
from tests.patience import LIMIT_S, SOON_S

PCM = b"\x01\x02\xff\r\n\x00\n\r" * (SAMPLE_RATE // 16)
TIMES = (Word("The", 0, 0.25), Word("rain", 0.25, 0.5), Word("is", 0.5, 0.5))
VARIABLES = {"elevenlabs": "ELEVENLABS_API_KEY", "openai": "RR_STT_OPENAI_API_KEY"}
MODELS = {"elevenlabs": "scribe_v1", "openai": "whisper-1"}
services = pytest.mark.parametrize("service", TRANSCRIBERS)
Make = Callable[..., tuple[Stub, RemoteEngine]]


@pytest.fixture
def make() -> Iterator[Make]:
    """Return what starts a stub of a service and an engine that asks it; both end with the test."""
    with ExitStack() as stack:

        def start(name: str, *modes: str, **options: Any) -> tuple[Stub, RemoteEngine]:
            stub = stack.enter_context(TRANSCRIBERS[name](*modes))
            key = SecretStr(KEY)
            if name == "elevenlabs":
                service = elevenlabs(key, stub.url, used_by="a test")
            else:
                variable = VARIABLES[name]
                service = openai(key, None, stub.url, variable=variable, used_by="a test")
            given = {"timeout_s": 10, "policy": RetryPolicy(pause_s=0.01), **options}
            model = given.pop("model", MODELS[name])
            engine = RemoteEngine(service, model, model_setting="RR_STT_MODEL", **given)
            stack.callback(engine.close)
            return stub, engine

        yield start


def refusal(engine: RemoteEngine) -> str:
    """Return why `engine` understands nothing: no word and no key in the error or the log."""
    with capture_logs() as logs, pytest.raises(HearingError) as caught:
        engine.transcribe(PCM, "en")
    assert not re.search("canary|rain|sk-", f"{caught.value!r} {logs}")
    assert caught.value.__cause__ is None
    return str(caught.value)


@services
@pytest.mark.parametrize(
    "troubles",
    [[], ["500"], ["503", "429"], ["429 0"], ["reset half-way"], ["empty body"], ["half a JSON"]],
    ids=", ".join,
)
def test_speech_is_understood(service: str, troubles: list[str], make: Make) -> None:
    """The words and their times are there, also after troubles that pass."""
    stub, engine = make(service, *troubles, "good")

    with capture_logs() as logs:
        transcript = engine.transcribe(PCM, "en")

    assert Transcript(WORDS, "en", service, TIMES) == transcript
    assert len(troubles) + 1 == len(stub.seen)
    assert not re.search("canary|rain|sk-", str(logs))


@services
def test_what_is_sent(service: str, make: Make) -> None:
    """The recording goes as a WAV of its samples, with model and language."""
    stub, engine = make(service)

    engine.transcribe(PCM, "pt")

    (body,) = [request["body"] for request in stub.seen]
    assert (PCM, (1, 2, SAMPLE_RATE)) == (body["pcm"], body["form"])
    assert {"pt", MODELS[service]} <= set(body["fields"].values())


def test_a_model_without_times(make: Make) -> None:
    """OpenAI's newer models refuse to give times, and are not asked for them."""
    stub, engine = make("openai", model="gpt-4o-mini-transcribe")

    assert Transcript(WORDS, "en", "openai", None) == engine.transcribe(PCM, "en")
    assert "json" == stub.seen[0]["body"]["fields"]["response_format"]


@services
def test_nothing_is_understood(service: str, make: Make) -> None:
    """An empty transcript is no failure of the service."""
    _, engine = make(service, "empty")

    assert Transcript("", "en", service, None) == engine.transcribe(PCM, "en")


@services
@pytest.mark.parametrize(
    ("mode", "requests", "reason"),
    [
        ("401", 1, r"answered 401 \(invalid_api_key\): look at the key {variable} in .env"),
        ("403", 1, r"answered 403: look at the key {variable}"),
        ("404", 1, r"answered 404: look at RR_STT_MODEL, and at the address"),
        ("422", 1, r"answered 422"),
        ("500", 3, r"answered 500$"),
        ("429", 3, r"answered 429 \((too_many_concurrent_requests|rate_limit_exceeded)\)$"),
        ("429 60", 1, r"answered 429"),
        ("closed half-way", 3, r"broke the connection off"),
        ("HTML with 200", 3, r"the answer is not JSON"),
        ("a list", 1, r"the answer has no text"),
        ("no text", 1, r"the answer has no text"),
        ("too long", 1, r"sent more than 1000000 bytes"),
        ("compressed", 1, r"sent a compressed answer"),
    ],
)
def test_speech_is_not_understood(
    service: str, mode: str, requests: int, reason: str, make: Make
) -> None:
    """Each failure has its reason; what may pass is asked for three times, the rest once."""
    stub, engine = make(service, mode)

    assert re.search(reason.format(variable=VARIABLES[service]), refusal(engine))
    assert requests == len(stub.seen)


@services
def test_a_service_that_is_silent(service: str, make: Make) -> None:
    """At the deadline it is over."""
    _, engine = make(service, "slow", timeout_s=0.5)
    started = monotonic()

    assert f"{service} gave no answer within 0.5 s" == refusal(engine)
    assert monotonic() - started < SOON_S


@pytest.mark.e2e
@services
def test_retry_after_is_waited_out(service: str, make: Make) -> None:
    """A rate limit of a second is kept; one beyond the deadline holds for the next request too."""
    stub, engine = make(service, "429 1", "good")
    started = monotonic()

    engine.transcribe(PCM, "en")

    assert 1 <= monotonic() - started < SOON_S
    assert 2 == len(stub.seen)

    stub, engine = make(service, "429 60", "good")
    refusal(engine)
    assert "asked to wait" in refusal(engine)
    assert 1 == len(stub.seen)


@services
def test_closing_ends_a_request_under_way(service: str, make: Make) -> None:
    """Closed by another thread, a request that hangs ends at once; later ones are refused."""
    stub, engine = make(service, "slow", timeout_s=600)

    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(refusal, engine)
        assert stub.hung.wait(LIMIT_S)
        engine.close()
        reason = hanging.result(SOON_S)

    assert f"{service} was stopped with the installation" == reason == refusal(engine)


@services
def test_the_check_asks_once_and_for_nothing(service: str, make: Make) -> None:
    """A service that answers and takes the key is reachable; nothing is sent to it."""
    stub, engine = make(service)

    assert "reachable (status 200)" == engine.check()
    assert [None] == [request["body"] for request in stub.seen]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([{"word": "The", "start": 0, "end": 1}], (Word("The", 0, 1),)),
        ([{"word": "The", "start": 2, "end": 1}], None),
        ([{"word": "The", "start": "0", "end": 1}], None),
        ([{"word": "The", "start": 0}], None),
        ([{"word": "The", "start": float("nan"), "end": 1}], None),
        ([{"word": "The", "start": 0, "end": float("inf")}], None),
        ([{"word": 5, "start": 0, "end": 1}], None),
        ([{"word": " ", "start": 0, "end": 1}], None),
        (["The"], None),
        ({"The": 1}, None),
        (None, None),
    ],
)
@pytest.mark.parametrize("in_segments", [False, True])
def test_times_are_taken_where_they_are_possible(
    words: object, expected: tuple[Word, ...] | None, in_segments: bool
) -> None:
    """Words stand in the answer or in its segments; what is no word with times is left out."""
    place = {"segments": [{"words": words}, 5]} if in_segments else {"words": words}
    body = json.dumps({"text": "The \ud800", **place}).encode()

    transcript = read_transcript(body, language_code="en", engine="openai")

    assert Transcript("The ?", "en", "openai", expected) == transcript


@pytest.mark.parametrize("name", REQUESTS)
def test_the_recording_is_in_no_representation(name: str) -> None:
    """Whoever logs a request does not log the recording."""
    assert "WAVE" not in repr(REQUESTS[name](PCM, "scribe_v1", "en"))
