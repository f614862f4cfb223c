"""The checks of `doctor`, run beside the server in a process of its own.

The process belongs to a group of its own, so that its children end with it, and has a lower
priority than a visitor's session. It gets the address and the folder of this server, which the
command line may have set.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from backend.config import Settings
from backend.http import problems
from backend.http.problems import ProblemError
from backend.storage import Artifacts

log = structlog.get_logger(__name__)

COMMAND = (sys.executable, "-P", "-m", "backend", "doctor", "--json", "--server-runs")
LIMIT_S = 60.0
NICENESS: Final = 10
_ON_WINDOWS = os.name == "nt"


class Check(BaseModel):
    """The result of one check."""

    check: str
    ok: bool
    detail: str


def doctor_router(settings: Settings, artifacts: Artifacts) -> APIRouter:
    """Return the route of the checks."""
    router = APIRouter(tags=["operations"])
    running = asyncio.Lock()

    @router.post("/v1/doctor", responses=problems.responses(502, 503, 504))
    async def doctor(request: Request) -> list[Check]:
        """Check this machine as the command `doctor` does; it takes some seconds."""
        if running.locked():
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "The checks are running already.")
        async with running:
            checking = asyncio.create_task(_check(settings, artifacts), name="doctor")
            leaving = asyncio.create_task(_client_left(request), name="client of doctor")
            leaving.add_done_callback(lambda _: checking.cancel())
            try:
                return await checking
            except asyncio.CancelledError as error:  # the client has left, or the server stops
                raise ProblemError(
                    HTTPStatus.SERVICE_UNAVAILABLE, "The checks were stopped."
                ) from error
            finally:
                leaving.cancel()

    return router


async def _client_left(request: Request) -> None:
    with suppress(HTTPException):  # of `BodyLimit`: the body, of which nothing is read, is too long
        while (await request.receive())["type"] != "http.disconnect":
            pass


async def _check(settings: Settings, artifacts: Artifacts) -> list[Check]:
    """Return what the process prints."""
    environment = {
        "RR_HOST": settings.host,
        "RR_PORT": str(settings.port),
        "RR_ARTIFACTS_DIR": str(artifacts.root),
    }
    process = subprocess.Popen(  # noqa: ASYNC220, S603 - ours, and it only starts; what takes time is on a thread
        COMMAND,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        **_options(),
    )
    if not _ON_WINDOWS:
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    talking = asyncio.create_task(asyncio.to_thread(process.communicate, timeout=LIMIT_S))
    try:
        printed, said = await asyncio.shield(talking)
    except subprocess.TimeoutExpired as error:
        _kill(process)
        await asyncio.to_thread(process.communicate)  # to the end of its pipes
        raise ProblemError(
            HTTPStatus.GATEWAY_TIMEOUT, f"The checks took longer than {LIMIT_S:g} s."
        ) from error
    finally:
        if not talking.done():
            _kill(process)
            await asyncio.wait([talking])
    try:
        return [Check(**found) for found in json.loads(printed)]
    except ValueError as error:  # of JSON, or of pydantic
        reason = said.decode("utf-8", "replace").strip() or f"exit code {process.returncode}"
        log.error("doctor could not run its checks", reason=reason)
        raise ProblemError(
            HTTPStatus.BAD_GATEWAY, f"The checks could not be run: {reason}"
        ) from error


def _options() -> dict[str, Any]:
    if _ON_WINDOWS:
        below_normal = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
        return {"creationflags": below_normal | getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    return {"process_group": 0}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its children."""
    with suppress(ProcessLookupError):
        if _ON_WINDOWS:  # its children end when their pipes are closed
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
