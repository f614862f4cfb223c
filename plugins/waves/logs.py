"""A log that never raises: a closed console or a full disk must not cost an utterance its waves."""

from contextlib import suppress
from typing import Any

import structlog


class SafeLog:
    """The logger called `name`, with whatever goes wrong in writing a line kept from the caller."""

    def __init__(self, name: str) -> None:
        self._log = structlog.get_logger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to know."""
        self._write(self._log.debug, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what happened."""
        self._write(self._log.info, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what was got over."""
        self._write(self._log.warning, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what failed."""
        self._write(self._log.error, event, fields)

    def exception(self, event: str, **fields: object) -> None:
        """Log what failed, with the exception that is being handled."""
        self._write(self._log.exception, event, fields)

    @staticmethod
    def _write(method: Any, event: str, fields: dict[str, object]) -> None:
        with suppress(Exception):  # nothing is left to report a failing log to
            method(event, **fields)
