"""Hearing with engines that are made up here, and the real decoder."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from backend.config import Settings
from backend.errors import (
    HearingBusyError,
    HearingError,
    NotAudioError,
    NotHeardError,
)
from backend.hearing import Hearing, Transcript, create_hearing
from backend.hearing.decoder import Decoder
from backend.signals import SpeechHeard, speech_heard
from backend.storage import Artifacts
from tests.patience import LIMIT_S, until
from tests.recordings import encode, tone

WORDS = "what does the water remember"


class StandIn:
    """Understands the same words always, or fails."""

    def __init__(
        self, name: str = "embedded", text: str = WORDS, languages: frozenset[str] | None = None
    ) -> None:
        self.name = name
        self.languages = languages
        self.text = text
        self.fails = False
        self.asked: list[tuple[int, str]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_closed = False

    def transcribe(self, pcm: bytes, language_code: str) -> Transcript:
        assert self.goes_on.wait(LIMIT_S)
        self.asked.append((len(pcm), language_code))
        self.check()
        return Transcript(self.text, language_code, self.name)

    def check(self) -> str:
        if self.fails:
            raise HearingError(f"{self.name} is broken")
        return "well"

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """Return the decoder that all tests share."""
    decoder = Decoder(timeout_s=30)
    yield decoder
    decoder.close()


@pytest.fixture(scope="module")
def second() -> bytes:
    """Return a recording of one second."""
    return encode(tone(1.0), "webm")


def made(decoder: Decoder, *engines: StandIn, **options: Any) -> Hearing:
    """Return hearing by `engines`."""
    return Hearing(engines, language="en", decoder=decoder, **options)


async def test_a_recording_is_understood_and_announced(decoder: Decoder, second: bytes) -> None:
    """The answer has the words, the bus has not; neither has the log."""
    engine, events = StandIn(), []

    def receive(_: object, *, event: SpeechHeard) -> None:
        events.append(event)

    with speech_heard.connected_to(receive), capture_logs() as logs:
        heard = await made(decoder, engine).hear(second)

    assert (WORDS, "en", "embedded") == (
        heard.transcript.text,
        heard.transcript.language_code,
        heard.transcript.engine,
    )
    assert ("audio/webm", None, None) == (heard.mime_type, heard.audio_path, heard.transcript_path)
    assert 1_000 == pytest.approx(heard.duration_ms, abs=20)
    assert 32_000 == pytest.approx(engine.asked[0][0], abs=700)
    (event,) = events
    assert (heard.heard_id, "en", None) == (event.heard_id, event.language_code, event.text)
    assert WORDS not in str(logs)


async def test_the_words_are_on_the_bus_where_somebody_asks(
    decoder: Decoder, second: bytes
) -> None:
    """With `include_text` the signal carries them."""
    events: list[SpeechHeard] = []

    def receive(_: object, *, event: SpeechHeard) -> None:
        events.append(event)

    with speech_heard.connected_to(receive):
        await made(decoder, StandIn(), include_text=lambda: True).hear(second)

    assert [WORDS] == [event.text for event in events]


async def test_a_recording_is_kept_where_that_is_wanted(
    decoder: Decoder, second: bytes, tmp_path: Path
) -> None:
    """The paths are those of the recording and of its transcript."""
    artifacts = Artifacts(tmp_path)

    heard = await made(decoder, StandIn(), artifacts=artifacts).hear(second, label="door")

    assert heard.audio_path is not None
    assert heard.transcript_path is not None
    assert second == (tmp_path / heard.audio_path).read_bytes()
    assert WORDS in (tmp_path / heard.transcript_path).read_text()


@pytest.mark.parametrize(("duration_s", "reason"), [(0.2, "too short"), (61.0, "longer than 60 s")])
async def test_too_short_and_too_long(duration_s: float, reason: str, decoder: Decoder) -> None:
    """No engine is asked about it."""
    engine = StandIn()

    with pytest.raises(NotHeardError, match=reason):
        await made(decoder, engine).hear(encode(tone(duration_s), "wav"))

    assert [] == engine.asked


async def test_nothing_understood(decoder: Decoder, second: bytes) -> None:
    """An empty transcript is told to the visitor, and hearing is well."""
    hearing = made(decoder, StandIn(text=""))

    with pytest.raises(NotHeardError, match="Nothing was understood"):
        await hearing.hear(second)

    assert ("ok", "") == hearing.state()


async def test_no_audio(decoder: Decoder) -> None:
    """A text is no recording."""
    with pytest.raises(NotAudioError):
        await made(decoder, StandIn()).hear(b"the water remembers")


async def test_another_engine_is_asked(decoder: Decoder, second: bytes) -> None:
    """When the first one fails the next answers; the state says so until it is well again."""
    first, next_one = StandIn(), StandIn("openai")
    hearing = made(decoder, first, next_one)
    states = []

    for first.fails in (True, False):
        heard = await hearing.hear(second)
        states.append((heard.transcript.engine, *hearing.state()))

    assert [("openai", "degraded", "embedded failed"), ("embedded", "ok", "")] == states


async def test_all_fail(decoder: Decoder, second: bytes) -> None:
    """The state names each engine and its reason."""
    first, next_one = StandIn(), StandIn("openai")
    first.fails = next_one.fails = True
    hearing = made(decoder, first, next_one)

    with pytest.raises(HearingError, match=r"embedded is broken.*openai is broken"):
        await hearing.hear(second)

    state, reason = hearing.state()
    assert "failed" == state
    assert "openai is broken" in reason


async def test_only_who_knows_a_language_is_asked(decoder: Decoder, second: bytes) -> None:
    """German goes past the English engine; alone it is told, and its state stays as it was."""
    english, any_language = StandIn(languages=frozenset({"en"})), StandIn("whisper")
    both = made(decoder, english, any_language)

    heard = await both.hear(second, language_code="de-AT")
    with pytest.raises(NotHeardError, match="The language 'de' is not understood here"):
        await made(decoder, english).hear(second, language_code="de")

    assert ("whisper", "de") == (heard.transcript.engine, heard.transcript.language_code)
    assert [] == english.asked
    assert "en" == (await both.hear(second, language_code="en-GB")).transcript.language_code


async def test_who_would_wait_too_long_is_refused(decoder: Decoder) -> None:
    """The seconds of speech that wait count, and what a second costs."""
    engine = StandIn()
    engine.goes_on.clear()
    hearing = made(decoder, engine)
    recording = encode(tone(14.0), "wav")

    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(hearing.hear(recording)) for _ in range(2)]
        await asyncio.to_thread(until, lambda: len(hearing._waiting) == 2, "both are decoded")
        with pytest.raises(HearingBusyError, match=r"would take 4\.2 s") as caught:
            await hearing.hear(recording)
        engine.goes_on.set()

    assert 2 == caught.value.retry_after_s
    assert all(task.result().transcript.text == WORDS for task in waiting)


async def test_who_comes_alone_is_never_refused(decoder: Decoder) -> None:
    """After recordings that were slow at once, whose lengths add up to no round number."""
    engine = StandIn()
    hearing = made(decoder, engine)
    recording = encode(tone(3.005), "wav")

    await asyncio.gather(*(hearing.hear(recording) for _ in range(3)))
    hearing._cost = 10.0

    assert WORDS == (await hearing.hear(recording)).transcript.text


async def test_the_state_before_and_after_the_first_check(decoder: Decoder) -> None:
    """It is warming until every engine was checked."""
    first, next_one = StandIn(), StandIn("openai")
    next_one.fails = True
    hearing = made(decoder, first, next_one)
    before = hearing.state()

    hearing.warm_up()

    assert ("warming", "") == before
    assert ("degraded", "openai: openai is broken") == hearing.state()


async def test_turned_off(second: bytes) -> None:
    """`RR_STT_ENGINE=none` is a state of its own, and no process is started."""
    hearing = create_hearing(Settings(_env_file=None, stt_engine="none"), None)
    hearing.warm_up()

    with pytest.raises(HearingError, match="turned off: RR_STT_ENGINE=none"):
        await hearing.hear(second)
    hearing.close()

    assert ("disabled", "hearing is turned off: RR_STT_ENGINE=none") == hearing.state()


async def test_after_the_close_a_recording_is_refused(second: bytes) -> None:
    """Engines are closed, and nothing waits for ever."""
    engine = StandIn()
    closed = Hearing([engine], language="en")

    closed.close()
    with pytest.raises(HearingError, match="stopped with the installation"):
        await closed.hear(second)

    assert engine.is_closed
