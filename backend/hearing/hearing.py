"""What becomes of a visitor's recording: it is decoded, transcribed and announced.

Nothing is kept of it unless `RR_STT_KEEP` is set. Recordings wait for one another, since an engine
on this machine takes one at a time; behind others none takes longer than `MAX_WAIT_S`.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from math import ceil
from time import monotonic
from typing import Final, Literal

import structlog
from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from backend.errors import ArtifactError, HearingBusyError, HearingError, NotHeardError
from backend.hearing.decoder import MAX_REQUESTS, Decoded, Decoder
from backend.hearing.engine import (
    MAX_DURATION_S,
    MIN_DURATION_S,
    Heard,
    HearingEngine,
    Transcript,
    knows,
)
from backend.hearing.keeping import keep
from backend.services import Chain
from backend.signals import SpeechHeard, emit, speech_heard
from backend.storage import Artifacts, new_session_id

log = structlog.get_logger(__name__)

State = Literal["ok", "warming", "degraded", "failed", "disabled"]

MAX_WAIT_S: Final = 3.0
MAX_UNDECODED: Final = 16
"""Recordings that may wait for the decoder: each may have 25 MB and take seconds."""
ON_THIS_MACHINE: Final = ("embedded", "whisper")
"""Engines that take one recording at a time."""
ONLINE_THREADS: Final = 4
TURNED_OFF: Final = "hearing is turned off: RR_STT_ENGINE=none"

_FIRST_COST: Final = 0.1
"""Seconds that a second of speech is taken to cost until it has been measured."""
_SMOOTHING: Final = 0.2
"""Weight of the last recording in what a second costs; a higher cost counts at once."""


class Hearing:
    """Understands recordings with the first of `engines` that can; without engines it is off.

    `off_reason` says why there are none. `artifacts` is where recordings are kept, if they are.
    `include_text()` says whether the words are put on the bus.
    """

    def __init__(
        self,
        engines: Sequence[HearingEngine],
        *,
        language: str,
        artifacts: Artifacts | None = None,
        include_text: Callable[[], bool] = bool,
        decoder: Decoder | None = None,
        off_reason: str = TURNED_OFF,
    ) -> None:
        self._engines = engines
        self._language = language
        self._artifacts = artifacts
        self._include_text = include_text
        self._decoder = decoder or Decoder()
        self._chain = Chain(engines, label="hearing", error=HearingError)
        self._decoding = CapacityLimiter(MAX_REQUESTS)
        is_local = any(engine.name in ON_THIS_MACHINE for engine in engines[:1])
        self._transcribing = CapacityLimiter(1 if is_local else ONLINE_THREADS)
        self._undecoded = 0
        self._waiting: list[float] = []
        self._cost = _FIRST_COST
        self._state: tuple[State, str] = ("warming", "") if engines else ("disabled", off_reason)

    async def hear(self, data: bytes, *, language_code: str = "", label: str = "") -> Heard:
        """Return what is said in `data`, a file as a browser records it; `label` is kept with it.

        Raises
        ------
        NotAudioError, NotHeardError, HearingBusyError, HearingError
            Their messages can be shown to the visitor, except that of HearingError itself.
        """
        if not self._engines:
            raise HearingError(self._state[1])
        language = language_code.partition("-")[0].lower() or self._language
        self._refuse_if_busy()
        started = monotonic()
        decoded = await self._decode(data)
        if decoded.duration_s < MIN_DURATION_S:
            raise NotHeardError("That was too short. Hold the button while you speak.")
        if decoded.duration_s > MAX_DURATION_S:
            raise NotHeardError(f"That was longer than {MAX_DURATION_S:g} s. Use fewer words.")
        self._refuse_if_busy(decoded.duration_s)
        transcript = await self._transcribe(decoded, language)
        if not transcript.text:
            raise NotHeardError("Nothing was understood. Speak louder, closer to the microphone.")
        heard_at, duration_ms = datetime.now(UTC), round(1_000 * decoded.duration_s)
        heard = Heard(new_session_id(heard_at), transcript, duration_ms, decoded.mime_type)
        log.info(
            "speech transcribed",
            heard_id=heard.heard_id,
            duration_ms=duration_ms,
            elapsed_ms=round(1_000 * (monotonic() - started)),
            engine=transcript.engine,
            language_code=transcript.language_code,
        )
        heard = await self._keep(heard, data, label, heard_at)
        language = transcript.language_code
        text = transcript.text if self._include_text() else None
        event = SpeechHeard(heard.heard_id, decoded.duration_s, language, heard_at, text)
        emit(speech_heard, self, event)
        return heard

    def warm_up(self) -> None:
        """Start the decoder and check every engine, which loads what is on this machine."""
        if not self._engines:
            return
        self._decoder.warm_up()
        reasons = {}
        for engine in self._engines:
            try:
                engine.check()
            except HearingError as error:
                reasons[engine.name] = str(error)
        state: State = "ok"
        if reasons:
            state = "failed" if len(reasons) == len(self._engines) else "degraded"
        self._state = state, "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        if reasons:
            log.warning("hearing is not whole", state=state, reasons=reasons)

    def state(self) -> tuple[State, str]:
        """Return how hearing is, and why, as the last recording or the check showed."""
        return self._state

    def close(self) -> None:
        """End what is under way, from any thread; later recordings are refused."""
        self._decoder.close()
        self._chain.close()

    def _refuse_if_busy(self, duration_s: float = 0.0) -> None:
        """Raise HearingBusyError if a recording of that length would have to wait too long."""
        speech_s = sum(self._waiting) + duration_s
        expected_s = speech_s * self._cost / self._transcribing.total_tokens
        if (self._waiting and expected_s > MAX_WAIT_S) or self._undecoded >= MAX_UNDECODED:
            raise HearingBusyError(
                f"a recording would take {expected_s:.1f} s, {self._undecoded} are not decoded yet",
                retry_after_s=max(1, ceil(expected_s - MAX_WAIT_S)),
            )

    async def _decode(self, data: bytes) -> Decoded:
        self._undecoded += 1
        try:
            return await run_sync(
                self._decoder.decode, data, limiter=self._decoding, abandon_on_cancel=True
            )
        finally:
            self._undecoded -= 1

    async def _transcribe(self, decoded: Decoded, language: str) -> Transcript:
        """Return what an engine understood; measure what a second of speech costs."""
        engines = self._engines_for(language)

        def transcribe() -> tuple[Transcript, float]:
            started = monotonic()
            transcript = self._chain.ask(lambda one: one.transcribe(decoded.pcm, language), engines)
            return transcript, monotonic() - started

        self._waiting.append(decoded.duration_s)
        try:
            transcript, elapsed_s = await run_sync(
                transcribe, limiter=self._transcribing, abandon_on_cancel=True
            )
        except HearingError as error:
            self._state = "failed", str(error)
            raise
        finally:
            self._waiting.remove(decoded.duration_s)
        cost = elapsed_s / decoded.duration_s
        self._cost = max(cost, self._cost + _SMOOTHING * (cost - self._cost))
        first = engines[0].name
        is_first = transcript.engine == first
        self._state = ("ok", "") if is_first else ("degraded", f"{first} failed")
        return transcript

    def _engines_for(self, language: str) -> list[HearingEngine]:
        """Return the engines that know `language`, or raise NotHeardError."""
        engines = [one for one in self._engines if knows(one, language)]
        if not engines:
            raise NotHeardError(f"The language {language!r} is not understood here.")
        return engines

    async def _keep(self, heard: Heard, data: bytes, label: str, heard_at: datetime) -> Heard:
        """Write the files of a recording, if they are kept."""
        if self._artifacts is None:
            return heard
        try:
            return await asyncio.to_thread(keep, self._artifacts, heard, data, label, heard_at)
        except (OSError, ArtifactError) as error:  # the visitor is answered all the same
            log.error("recording not kept", heard_id=heard.heard_id, reason=str(error))
            return heard
