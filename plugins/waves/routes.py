"""`POST /v1/waves`: an utterance's waves are made again; `GET /v1/water`: what water does."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import Field

from backend.errors import ReflectiveResonanceError
from backend.http import CamelCase, ProblemError, problems, service_of
from plugins.waves.jobs import Remaking

RETRY_AFTER = {"retry-after": "10"}
CACHED = "private, max-age=31536000, immutable"
Service = Annotated[Remaking, Depends(service_of("waves"))]

router = APIRouter(tags=["waves"])


class WavesRequest(CamelCase):
    """The speech whose waves are to be made; `audio_path` as `slot.audio` has it."""

    audio_path: str = Field(max_length=1000)


@router.post(
    "/v1/waves",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems.responses(400, 404, 408, 413, 415, 422, 503),
)
def make_again(request: WavesRequest, remaking: Service) -> WavesRequest:
    """Make the waves of an utterance again; their signal and events tell how that ended."""
    try:
        accepted = remaking.submit(request.audio_path)
    except (ReflectiveResonanceError, OSError, ValueError) as error:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, "No speech has that path, or its session is being removed."
        ) from error
    if not accepted:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The waves are not made: too many utterances wait, or this one crashed its workers "
            "within the last day.",
            headers=RETRY_AFTER,
        )
    return request


class DishMotion(CamelCase):
    """The motion of the strongest modes of a dish: J_m(k r) cos(m theta), each at most 1."""

    per_second: int = Field(description="Frames a second, the first at 0 s.")
    carrier_hz: float
    orders: list[int] = Field(description="m of each mode; below 0: sin(-m theta).")
    zeros: list[float] = Field(description="k of each mode, times the radius of the dish.")
    amplitudes: str = Field(
        description="Base64 of little-endian int16 in um, real and imaginary parts for each frame "
        "and mode. The height is the real part of amplitude * exp(-2i pi carrierHz t)."
    )


@router.get("/v1/water/{path:path}", responses=problems.responses(404, 422, 503))
async def motion(path: str, remaking: Service, response: Response) -> DishMotion:
    """Return what a wave, by the path that its events name, does to a dish of water."""
    try:
        found = await remaking.water.motion(path)
    except (ReflectiveResonanceError, OSError, ValueError) as error:
        raise ProblemError(HTTPStatus.NOT_FOUND, "No wave has that path.") from error
    if found is None:
        detail = "The motion of the water is not there: other work goes first, or it failed."
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers=RETRY_AFTER)
    response.headers["cache-control"] = CACHED
    return DishMotion.model_validate(found)
