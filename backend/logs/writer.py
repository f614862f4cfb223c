"""A log handler that never makes its caller wait: a thread of its own renders and writes the lines.

    log.info(...)  -- record -->  [ at most MAX_WAITING ]  -->  thread: format, write to the stream
    (event loop, lanes, voices)

Whoever logs on the event loop would otherwise hold every visitor up: rendering a traceback takes
about a millisecond, and writing may take for ever (a full pipe; on Windows, a console in which
somebody has marked a line). A record is rendered as it was when it was logged: its time is kept in
it, and its exception; values that change afterwards are shown as they are when it is written.

A log that cannot be written fast enough costs lines, which are counted, and no memory. Nothing here
waits without a limit, a stop included, and a line that cannot be rendered or written is dropped.

Rejected: logging.handlers.QueueHandler, which renders the traceback in the caller, with a queue
whose lock a line from a signal handler would wait for; SimpleQueue can be entered again.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TextIO

MAX_WAITING = 10_000
"""Records; some seconds of the worst flood."""
FLUSH_LIMIT_S = 1.0


class LogWriter(logging.Handler):
    """Hands records to a thread that formats them and writes them to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._waiting: SimpleQueue[logging.LogRecord | threading.Event | None] = SimpleQueue()
        self._dropped = 0
        self._told = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record over, or drop it if too many wait; return at once."""
        if self._waiting.qsize() < MAX_WAITING:
            self._waiting.put(record)
        else:
            self._dropped += 1

    def flush(self, limit_s: float = FLUSH_LIMIT_S) -> None:
        """Wait until what was logged before is written, at most `limit_s`."""
        if self._thread.is_alive():
            written = threading.Event()
            self._waiting.put(written)
            written.wait(limit_s)

    def close(self) -> None:
        """Write what was logged before, at most for `FLUSH_LIMIT_S`, and end the thread."""
        self._waiting.put(None)
        self._thread.join(FLUSH_LIMIT_S)
        super().close()

    def _run(self) -> None:
        while True:
            item = self._waiting.get()
            if isinstance(item, logging.LogRecord):
                self._write(item)
            if not isinstance(item, logging.LogRecord) or self._waiting.qsize() < MAX_WAITING / 2:
                self._tell_dropped()
            if isinstance(item, threading.Event):
                item.set()
            if item is None:
                return

    def _tell_dropped(self) -> None:
        dropped = self._dropped - self._told
        if dropped:
            self._told += dropped
            warning = "%d lines were dropped: the log cannot be written as fast as it grows"
            self._write(
                logging.LogRecord(__name__, logging.WARNING, __file__, 0, warning, (dropped,), None)
            )

    def _write(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # nothing is left to report a failing log to
            self._put(self.format(record) + "\n")

    def _put(self, line: str) -> None:
        if self._descriptor is None:
            self._stream.write(line)
            self._stream.flush()
            return
        data = line.encode(self._stream.encoding or "utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]


def flush(limit_s: float = FLUSH_LIMIT_S) -> None:
    """Wait until everything that was logged is written, at most `limit_s`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogWriter):
            handler.flush(limit_s)


@contextmanager
def flushed() -> Iterator[None]:
    """Run the block; what it logged is written before anything is printed after it."""
    try:
        yield
    finally:
        flush()


def _descriptor_of(stream: TextIO) -> int | None:
    """Return where `stream` writes, None if that is nowhere in particular.

    A thread that hangs in the stream itself would hold its lock, and the interpreter aborts when it
    cannot have that at its exit. On Windows only the stream knows how to write to a console.
    """
    if os.name == "nt":
        return None
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
