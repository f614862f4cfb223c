"""Logging: one readable line per event on standard error, the same for us and for libraries.

Python's warnings are lines of the log too, and what libraries print of their own is switched off.

A log must never break or delay a visitor's session: what is logged is rendered and written by a
thread of its own (see `logwriter`), which survives a closed stream. Nothing a stranger sends can
forge a line: what is not printable is escaped, and the lines of a traceback are indented. No secret
and no visitor's word gets in:

- the values of secret settings are replaced, whoever logs them
- libraries are never heard below INFO: at DEBUG they log requests with headers and bodies
- of a pydantic error the fields are told, not the input it quotes
"""

import logging
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from io import StringIO
from typing import Any, TextIO

import structlog
from pydantic import SecretStr, ValidationError
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from backend.logs.writer import LogWriter

NOISY = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "numba"),
    *("sse_starlette", "openai", "anthropic", "google_genai"),
)
"""Chatter at their lower levels; those in the second line would log what was said."""


SILENT = ("dotenv",)
"""It warns of a bad line of `.env` at every reading; `backend.config.report` does so once."""
OWN = ("backend", "plugins")
"""Only these are heard at DEBUG."""
SILENCED = {"PYDANTIC_AI_NO_BANNER": "1"}
"""Variables that keep libraries from printing."""
REDACTED = "**********"
_INDENT = "    | "


def configure_logging(level: str, secrets: Iterable[SecretStr | None] = ()) -> None:
    """Send everything from `level` up to standard error; called by the command line.

    What was logged before is written first, by the handlers that are replaced.

    Parameters
    ----------
    level : str
        Least severe level that is logged.
    secrets : iterable of SecretStr or None
        What must not appear in any line.
    """
    os.environ.update(SILENCED)
    logging.captureWarnings(True)
    handler = LogWriter(sys.stderr)
    handler.setFormatter(
        _Redacting(
            [secret.get_secret_value() for secret in secrets if secret],
            processors=[
                _tell_time_and_level,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _escape_unprintable,
                structlog.dev.ConsoleRenderer(
                    colors=_coloured(sys.stderr), exception_formatter=_indented_traceback
                ),
            ],
        )
    )
    root = logging.getLogger()
    replaced, root.handlers[:] = root.handlers[:], [handler]
    for former in replaced:
        if isinstance(former, LogWriter):
            former.close()
    root.setLevel(max(logging.getLevelName(level.upper()), logging.INFO))
    for name in OWN:
        logging.getLogger(name).setLevel(level.upper())
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.raiseExceptions = False
    _spare_the_caller()
    structlog.configure(
        processors=[_keep_exception, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=unfailing(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _coloured(stream: TextIO) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def _spare_the_caller() -> None:
    """Gather nothing that no line shows: half of what a call of a logger costs.

    The ways stand in the "Optimization" section of the standard library's logging HOWTO.
    """
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def unfailing(level: str) -> type[Any]:
    """Return a logger class whose methods never raise, whatever a handler or a processor does."""

    class Unfailing(structlog.make_filtering_bound_logger(level)):  # type: ignore[misc]  # made at run time
        def _proxy_to_logger(self, *arguments: Any, **fields: Any) -> Any:
            with suppress(Exception):  # nothing is left to report a failing log to
                return super()._proxy_to_logger(*arguments, **fields)

    return Unfailing


class _Redacting(structlog.stdlib.ProcessorFormatter):
    """Replaces secrets in whatever was formatted, tracebacks included."""

    def __init__(self, secrets: list[str], **options: Any) -> None:
        super().__init__(**options)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, REDACTED)
        return line


def _keep_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take hold of the exception that is being handled: where the line is rendered, none is."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exception()
    return event


def _tell_time_and_level(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created)  # noqa: DTZ006 - as the clock on the wall
    event["timestamp"] = moment.isoformat(timespec="microseconds")
    event["level"] = record.levelname.lower()
    return event


def _escape_unprintable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key in {"exception", "stack"}:
            event[key] = _indented(str(value))
        elif isinstance(value, str):
            event[key] = _escaped(value)
    return event


def _indented_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback that cannot be taken for lines of the log."""
    written = StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    text = written.getvalue()
    error: BaseException | None = exc_info[1]
    while error is not None:
        if isinstance(error, ValidationError):
            fields = ", ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['type']}" for item in error.errors()
            )
            text = text.replace(str(error), f"{error.error_count()} wrong fields: {fields}")
        error = error.__cause__ or error.__context__
    stream.write("\n" + _indented(text))


def _indented(text: str) -> str:
    return "\n".join(_INDENT + _escaped(line) for line in text.strip("\n").split("\n"))


def _escaped(text: str) -> str:
    # ascii() and no codec: the first use of one imports it, which takes a file descriptor.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
