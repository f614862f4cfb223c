"""The voices: which one speaks each profile, and a sentence to try one."""

import threading
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, Field

from backend.errors import SpeechError
from backend.http import problems
from backend.http.models import CamelCase
from backend.http.problems import ProblemError
from backend.runtime import Hosting
from backend.speech import VoiceProfile, spoken_wav, voice_names

MAX_TEXT = 200
"""Characters, about 15 s: no longer than what agents say, so no visitor waits longer for it."""


def _has_a_word(text: str) -> str:
    if not any(character.isalnum() for character in text):
        raise ValueError("give at least one word")
    return text


class VoiceTry(CamelCase):
    """What a voice is asked to say."""

    voice_profile: VoiceProfile
    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(_has_a_word)]


class VoiceInfo(BaseModel):
    """A profile, and the voice that speaks it, by the engine's own name."""

    profile: VoiceProfile
    voice: str
    engine: str


class VoiceList(BaseModel):
    """The voices an agent chooses from, as the first engine speaks them."""

    voices: list[VoiceInfo]


def voices_router(hosting: Hosting) -> APIRouter:
    """Return the routes of the voices."""
    router = APIRouter(tags=["operations"])
    trying = threading.Lock()
    engine = hosting.settings.speech_engine
    voices = [
        VoiceInfo(profile=profile, voice=voice, engine=engine)
        for profile, voice in voice_names(hosting.settings).items()
    ]

    @router.get("/v1/voices")
    async def listed() -> VoiceList:
        """List the voices an agent chooses from."""
        return VoiceList(voices=voices)

    @router.post(
        "/v1/voices/try",
        response_class=Response,
        responses={
            200: {"content": {"audio/wav": {}}, "description": "The speech."},
            **problems.responses(400, 408, 413, 415, 422, 502, 503),
        },
    )
    def speak(request: VoiceTry) -> Response:
        """Speak a text, of which nothing is kept; one at a time."""
        if not trying.acquire(blocking=False):
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "Another voice is being tried. Please wait for it.",
                headers={"retry-after": "2"},
            )
        of_text = request.text, hosting.artifacts.temporary, request.voice_profile
        try:
            return Response(spoken_wav(hosting.speech, *of_text), media_type="audio/wav")
        except SpeechError as error:
            raise ProblemError(HTTPStatus.BAD_GATEWAY, f"Nothing was spoken: {error}") from error
        finally:
            trying.release()

    return router
