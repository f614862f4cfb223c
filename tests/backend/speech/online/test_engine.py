"""The speech services, over real HTTP: every mode of every service has its result."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
from pydantic import SecretStr

from backend.errors import SpeechError
from backend.services import RetryPolicy, Service, elevenlabs, openai
from backend.speech import PROFILES
from backend.speech.online import REQUESTS, RemoteEngine
from backend.speech.sound.loudness import TARGET_DBFS, active_level, peak_level
from backend.speech.voices import load_voices
from tests.backend.speech.sounds import read
from tests.backend.speech.stubs import KEY, STUBS, Stub
from tests.patience import LIMIT_S, SOON_S

WORDS = "I am the water and I have been listening to xqcanary."


def service_at(name: str, url: str = "") -> Service:
    """Return a service at `url`, with the key of the tests."""
    key = SecretStr(KEY)
    if name == "elevenlabs":
        return elevenlabs(key, url, used_by="a test")
    return openai(key, None, url, variable="RR_SPEECH_OPENAI_API_KEY", used_by="a test")


services = pytest.mark.parametrize("service", STUBS)
Make = Callable[..., tuple[Stub, RemoteEngine]]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Return what starts a stub of a service and an engine that asks it; both end with the test."""
    with ExitStack() as stack:

        def start(
            name: str,
            *modes: str,
            timeout_s: float = 10,
            max_requests: int = 6,
        ) -> tuple[Stub, RemoteEngine]:
            stub = stack.enter_context(STUBS[name](*modes))
            engine = RemoteEngine(
                service_at(name, stub.url),
                load_voices()[name].voices,
                temporary=tmp_path / ".tmp",
                timeout_s=timeout_s,
                max_requests=max_requests,
                policy=RetryPolicy(pause_s=0.01),
            )
            stack.callback(engine.close)
            return stub, engine

        yield start


def refusal(engine: RemoteEngine, path: Path) -> str:
    """Return why `engine` does not speak: in words without text or key, and with no file left."""
    with pytest.raises(SpeechError) as caught:
        engine.generate_wav_to_file(WORDS, "friendly_casual", path)
    reason = str(caught.value)
    assert not re.search("canary|water|sk-", repr(caught.value) + reason)
    assert caught.value.__cause__ is None
    assert [] == [file for file in path.parent.rglob("*") if file.is_file()]
    return reason


@services
@pytest.mark.parametrize(
    ("modes", "requests", "sample_rates"),
    [
        (["good"], 1, {"elevenlabs": 22_050, "openai": 24_000}),
        (["streamed header"], 1, {"elevenlabs": 24_000, "openai": 24_000}),
        (["wrong rate, stereo, 24-bit"], 1, {"elevenlabs": 48_000, "openai": 48_000}),
        (["500", "good"], 2, {"elevenlabs": 22_050, "openai": 24_000}),
        (["503", "502", "good"], 3, {"elevenlabs": 22_050, "openai": 24_000}),
        (["429", "good"], 2, {"elevenlabs": 22_050, "openai": 24_000}),
        (["429 0", "good"], 2, {"elevenlabs": 22_050, "openai": 24_000}),
        (["reset half-way", "good"], 2, {"elevenlabs": 22_050, "openai": 24_000}),
        (["closed half-way", "good"], 2, {"elevenlabs": 22_050, "openai": 24_000}),
        (["empty body", "good"], 2, {"elevenlabs": 22_050, "openai": 24_000}),
        (["truncated WAV", "good"], 2, {"elevenlabs": 22_050, "openai": 24_000}),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, list) else "",
)
def test_speech_is_written(
    service: str,
    modes: list[str],
    requests: int,
    sample_rates: dict[str, int],
    make: Make,
    tmp_path: Path,
) -> None:
    """Good speech, also after troubles that pass, is a mono 16-bit WAV at the one loudness."""
    stub, engine = make(service, *modes)
    path = tmp_path / "turn_1" / "a.wav"

    spoken = engine.generate_wav_to_file(WORDS, "friendly_casual", path)

    y, sample_rate = read(path)
    assert (requests, sample_rates[service]) == (len(stub.seen), sample_rate)
    assert pytest.approx(1.5) == spoken.duration_s
    assert sample_rate == spoken.sample_rate
    assert TARGET_DBFS == pytest.approx(active_level(y, sample_rate), abs=0.5)
    assert peak_level(y) < -1
    assert [path] == [file for file in tmp_path.rglob("*") if file.is_file()]


@services
@pytest.mark.parametrize(
    ("mode", "requests", "reason"),
    [
        ("401", 1, r"answered 401 \(invalid_api_key\): look at the key"),
        ("403", 1, r"answered 403: look at the key"),
        ("404", 1, r"answered 404: look at voice and model"),
        ("422", 1, r"answered 422"),
        ("500", 3, r"answered 500$"),
        ("429", 3, r"answered 429 \((too_many_concurrent_requests|rate_limit_exceeded)\)$"),
        ("429 60", 1, r"answered 429"),
        ("reset half-way", 3, r"broke the connection off"),
        ("closed half-way", 3, r"broke the connection off"),
        ("HTML with 200", 1, r"the answer is HTML, not a WAV"),
        ("empty body", 3, r"the answer is empty"),
        ("truncated WAV", 3, r"declares 72000 bytes of samples, 19956 are there"),
        ("41 MB", 1, r"sent more than 40000000 bytes"),
        ("compressed", 1, r"sent a compressed answer"),
        ("silence", 1, r"made no sound"),
    ],
)
def test_speech_is_not_written(
    service: str, mode: str, requests: int, reason: str, make: Make, tmp_path: Path
) -> None:
    """Each failure has its reason; what may pass is asked for three times, the rest once."""
    stub, engine = make(service, mode)

    assert re.search(reason, refusal(engine, tmp_path / "a.wav"))
    assert requests == len(stub.seen)


@services
@pytest.mark.parametrize("mode", ["slow", "dripping"])
def test_a_service_that_is_too_slow(service: str, mode: str, make: Make, tmp_path: Path) -> None:
    """No answer, or one byte at a time: at the deadline it is over."""
    _, engine = make(service, mode, timeout_s=0.5)
    started = monotonic()

    assert "no answer within 0.5 s" in refusal(engine, tmp_path / "a.wav")

    assert monotonic() - started < SOON_S


@services
def test_a_service_that_is_not_there(service: str, make: Make, tmp_path: Path) -> None:
    """A service that has gone is told as such, after it was tried again."""
    stub, engine = make(service)
    stub.stop()

    assert "cannot be reached" in refusal(engine, tmp_path / "a.wav")


@pytest.mark.e2e
@services
def test_retry_after_is_waited_out(service: str, make: Make, tmp_path: Path) -> None:
    """A rate limit of a second is kept, and then the utterance is spoken."""
    stub, engine = make(service, "429 1", "good")
    started = monotonic()

    engine.generate_wav_to_file(WORDS, "friendly_casual", tmp_path / "a.wav")

    assert 1 <= monotonic() - started < SOON_S
    assert 2 == len(stub.seen)


@services
def test_a_rate_limit_holds_for_every_utterance(service: str, make: Make, tmp_path: Path) -> None:
    """While a rate limit lasts longer than an utterance may, the service is not even asked."""
    stub, engine = make(service, "429 60", "good")

    refusal(engine, tmp_path / "a.wav")

    assert "asked to wait" in refusal(engine, tmp_path / "b.wav")
    assert 1 == len(stub.seen)


@services
def test_requests_at_once_are_limited(service: str, make: Make, tmp_path: Path) -> None:
    """Six utterances at once are never more than two requests at once, and all are spoken."""
    stub, engine = make(service, max_requests=2)

    with ThreadPoolExecutor(6) as pool:
        spoken = list(
            pool.map(
                lambda profile: engine.generate_wav_to_file(
                    WORDS, profile, tmp_path / f"{profile}.wav"
                ),
                PROFILES,
            )
        )

    assert (6, 6) == (len(spoken), len(stub.seen))
    assert stub.most_at_once <= 2
    assert 6 == len({str(request["body"]) + request["path"] for request in stub.seen})


@services
def test_closing_ends_a_request_under_way(service: str, make: Make, tmp_path: Path) -> None:
    """Closed by another thread, an utterance that hangs ends at once; later ones are refused."""
    stub, engine = make(service, "slow", timeout_s=600)

    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(refusal, engine, tmp_path / "a.wav")
        assert stub.hung.wait(LIMIT_S)
        started = monotonic()
        engine.close()
        reason = hanging.result(SOON_S)

    assert f"{service} was stopped with the installation" == reason
    assert monotonic() - started < SOON_S
    assert reason == refusal(engine, tmp_path / "b.wav")


@services
def test_the_check_asks_once_and_for_nothing(service: str, make: Make) -> None:
    """A service that answers and takes the key is reachable; no speech is asked for."""
    stub, engine = make(service)

    assert "reachable (status 200)" == engine.check()
    assert [None] == [request["body"] for request in stub.seen]


@services
def test_the_check_tells_a_refused_key(service: str, make: Make) -> None:
    """A key that is not taken is told without showing it."""
    _, engine = make(service, "401")

    with pytest.raises(SpeechError, match=r"answered 401.*look at the key") as caught:
        engine.check()
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", REQUESTS)
def test_the_key_is_in_no_representation(name: str) -> None:
    """Whoever logs a service or a request does not log the key or the text."""
    request = REQUESTS[name](WORDS, load_voices()[name].voices["calm_soothing"])

    assert "canary" not in repr(service_at(name)) + repr(request)


def test_what_openai_is_asked() -> None:
    """The manner goes along as instructions, save to the models that refuse them."""
    asked = REQUESTS["openai"]("Hello", load_voices()["openai"].voices["calm_soothing"])

    assert {
        "model": "gpt-4o-mini-tts",
        "voice": "shimmer",
        "input": "Hello",
        "response_format": "wav",
        "instructions": "Speak slow, low and gentle, with room between the words.",
    } == asked.body["json"]


def test_the_two_services_are_equally_loud(make: Make, tmp_path: Path) -> None:
    """Every service and profile is within 1 dB of one level."""
    levels = []
    for name in STUBS:
        _, engine = make(name)
        for profile in PROFILES:
            engine.generate_wav_to_file(WORDS, profile, tmp_path / "a.wav")
            levels.append(active_level(*read(tmp_path / "a.wav")))

    assert np.ptp(levels) < 1
