"""Set up logging: one line for each event on standard error, for this program and its libraries.

Nothing that a client sends can look like a line of its own: characters that cannot be printed are
escaped, and the lines of a traceback are indented. No secret and no word of a visitor is logged:

- the values of secret settings are replaced in every line
- libraries log from INFO only: at DEBUG they log requests with headers and bodies
- of a pydantic error the fields are shown, not the input that it quotes
- without `RR_KEEP_TEXTS` a traceback shows no message: an error that nobody expects may quote text
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from io import StringIO
from typing import Any, TextIO

import structlog
from pydantic import SecretStr, ValidationError
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from backend.logs.recent import MAX_CHARACTERS, LogLine, Value, keep
from backend.logs.writer import LogWriter

NOISY = (
    *("httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "numba"),
    *("sse_starlette", "openai", "anthropic", "google_genai"),
)
"""Logged from WARNING; at INFO those in the second line would log what visitors say."""
SILENT = ("dotenv", "python_multipart")
"""They warn about each bad line of `.env` at every reading, and about what clients send."""
HARMLESS = {
    "asyncio": ("socket.send() raised exception",),
    "uvicorn.error": ("Cancel 0 running task(s)", "Invalid UTF-8 sequence received from client"),
}
"""What a page that closes, is open at Ctrl-C, or sends what we log ourselves makes these log."""
OWN = ("backend", "plugins")
"""Only these log at DEBUG."""
SILENCED = {"PYDANTIC_AI_NO_BANNER": "1"}
"""Variables that keep libraries from printing."""
REDACTED = "**********"
_INDENT = "    | "


def configure_logging(
    level: str, secrets: Iterable[SecretStr | None] = (), *, keep_texts: bool = True
) -> None:
    """Log everything from `level` to standard error, without the values of `secrets`."""
    os.environ.update(SILENCED)
    logging.captureWarnings(True)
    handler = LogWriter(sys.stderr)
    redact = partial(_redact, [secret.get_secret_value() for secret in secrets if secret])
    handler.setFormatter(
        _Redacting(
            redact,
            processors=[
                _add_time_and_level,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _escape_unprintable,
                partial(_render_traceback, keep_texts=keep_texts),
                partial(_keep_line, redact),
                structlog.dev.ConsoleRenderer(
                    colors=_coloured(sys.stderr),
                    exception_formatter=structlog.dev.plain_traceback,
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
    for name in HARMLESS:
        logging.getLogger(name).addFilter(_tells_news)
    logging.raiseExceptions = False
    _skip_unused_fields()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _keep_exception,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=unfailing(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _tells_news(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(HARMLESS[record.name])


def _coloured(stream: TextIO) -> bool:
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def _skip_unused_fields() -> None:
    """Collect no data that no line shows: half the cost of a call (Optimization, logging HOWTO)."""
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
    """Replace secrets in the formatted line, with its traceback."""

    def __init__(self, redact: Callable[[str], str], **options: Any) -> None:
        super().__init__(**options)
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


def _redact(secrets: list[str], text: str) -> str:
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    return text


def _keep_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep the exception that is being handled: the thread that renders the line has none."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exception()
    return event


def _add_time_and_level(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    moment = datetime.fromtimestamp(record.created).astimezone()  # an hour comes twice a year
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


def _render_traceback(
    _: WrappedLogger, __: str, event: EventDict, *, keep_texts: bool
) -> EventDict:
    """Render it before the line is kept; the error of a record is one, or a tuple of three."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        written = StringIO()
        _write_traceback(written, (type(error), error, error.__traceback__), keep_texts=keep_texts)
        event["exception"] = written.getvalue().lstrip("\n")
    return event


def _keep_line(
    redact: Callable[[str], str], _: WrappedLogger, __: str, event: EventDict
) -> EventDict:
    """Keep a line in memory as it is written, with its values apart."""

    def value(given: object) -> Value:
        if given is None or isinstance(given, bool | int | float):
            return given
        return redact(str(given))[-MAX_CHARACTERS:]

    fields = {key: value(given) for key, given in event.items()}
    at = datetime.fromisoformat(str(fields.pop("timestamp")))
    keep(LogLine(at, str(fields.pop("level")), str(fields.pop("event")), fields))
    return event


def _write_traceback(stream: TextIO, exc_info: ExcInfo, *, keep_texts: bool) -> None:
    """Write a traceback, indented, with the messages of its errors only if texts are kept."""
    written = StringIO()
    structlog.dev.plain_traceback(written, exc_info)
    text = written.getvalue()
    errors: list[BaseException | None] = [exc_info[1]]
    for error in errors:  # which becomes longer meanwhile
        if error is None:
            continue
        errors += [error.__cause__ or error.__context__, *getattr(error, "exceptions", ())]
        if isinstance(error, ValidationError):
            fields = ", ".join(
                f"{'.'.join(map(str, item['loc']))}: {item['type']}" for item in error.errors()
            )
            text = text.replace(str(error), f"{error.error_count()} wrong fields: {fields}")
        elif not keep_texts:
            text = text.replace(f": {error}", "")
    stream.write("\n" + _indented(text))


def _indented(text: str) -> str:
    return "\n".join(_INDENT + _escaped(line) for line in text.strip("\n").split("\n"))


def _escaped(text: str) -> str:
    # ascii() and no codec: the first use of one imports it, which takes a file descriptor.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
