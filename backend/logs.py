"""Logging: one readable line per event on standard error, the same for us and for libraries.

A log must never break a visitor's session, so a record goes through the standard library's handler,
which survives a closed stream, and line breaks in values are escaped, so that nothing a stranger
sends can forge a line.
"""

import logging
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

NOISY = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "numba"),
    *("sse_starlette", "openai", "anthropic", "google_genai"),
)
"""Chatter at their lower levels; those in the second line would log what was said."""


def configure_logging(level: str) -> None:
    """Send everything from `level` up to standard error; called once, by the command line."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _escape_line_breaks,
                structlog.dev.ConsoleRenderer(
                    colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
                ),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.raiseExceptions = False
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _escape_line_breaks(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if isinstance(value, str) and key not in {"exception", "stack"}:
            event[key] = "".join(
                char if char.isprintable() else char.encode("unicode_escape").decode()
                for char in value
            )
    return event
