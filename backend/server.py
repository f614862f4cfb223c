"""Runs the web application under uvicorn, with a stop that is bounded."""

from collections.abc import Iterable

import structlog
import uvicorn

from backend.app import create_app
from backend.artifacts import Artifacts
from backend.config import Settings
from backend.lock import holding
from backend.plugins import Discovered

log = structlog.get_logger(__name__)

GRACE_S = 2
"""How long open connections may go on after Ctrl-C; the plugins have their own limit after it."""


def run(settings: Settings, discovered: Iterable[Discovered]) -> int:
    """Serve until a signal; return the process's exit code."""
    with holding(Artifacts(settings.artifacts_dir), "reflective-resonance serve"):
        return _serve(settings, discovered)


def _serve(settings: Settings, discovered: Iterable[Discovered]) -> int:
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings, discovered),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    log.info(
        "starting",
        address=f"http://{settings.host}:{settings.port}",
        artifacts=str(settings.artifacts_dir),
    )
    try:
        server.run()
    except KeyboardInterrupt:
        log.info("stopped")
        return 0
    except SystemExit:
        log.error(
            "the server did not start: is the port taken? Set RR_PORT or stop the other program",
            port=settings.port,
        )
        return 1
    return 0 if server.started else 1
