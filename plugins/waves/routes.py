"""`POST /v1/waves`: the waves of an utterance are made again."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from backend.errors import ReflectiveResonanceError
from backend.http import CamelCase, ProblemError, problems, service_of
from plugins.waves.jobs import Remaking

RETRY_AFTER_S = 10

router = APIRouter(tags=["waves"])


class WavesRequest(CamelCase):
    """The speech whose waves are to be made; `audio_path` as `slot.audio` has it."""

    audio_path: str = Field(max_length=1000)


@router.post(
    "/v1/waves",
    status_code=HTTPStatus.ACCEPTED,
    responses=problems.responses(400, 404, 408, 413, 415, 422, 503),
)
def make_again(
    request: WavesRequest, remaking: Annotated[Remaking, Depends(service_of("waves"))]
) -> WavesRequest:
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
            headers={"retry-after": str(RETRY_AFTER_S)},
        )
    return request
