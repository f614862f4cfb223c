"""A log handler that never blocks its caller: a thread renders the lines and writes them.

    log.info(...)  -- record -->  [ at most MAX_WAITING ]  -->  thread: format, write to the stream
    (any thread)

Rendering a traceback takes about a millisecond, and writing may block without end (a full pipe; a
Windows console in which text is marked): on the event loop every session would wait. A record keeps
its time and its exception; other values are rendered as they are when the line is written.

When the queue is full, records are dropped and counted. Every wait has a limit, also at the stop.

Rejected: logging.handlers.QueueHandler. It renders the traceback in the caller, and a line that is
logged in a signal handler would wait for the lock of its queue; SimpleQueue is reentrant.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TextIO

MAX_WAITING = 10_000
"""Records."""
FLUSH_LIMIT_S = 1.0


class LogWriter(logging.Handler):
    """Pass records to a thread that formats them and writes them to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._waiting: SimpleQueue[logging.LogRecord | threading.Event | None] = SimpleQueue()
        self._dropped = 0
        self._logged = 0
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record, or drop it if the queue is full."""
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
                self._log_dropped()
            if isinstance(item, threading.Event):
                item.set()
            if item is None:
                return

    def _log_dropped(self) -> None:
        dropped = self._dropped - self._logged
        if dropped:
            self._logged += dropped
            warning = "%d lines were dropped: the log cannot be written fast enough"
            self._write(
                logging.LogRecord(__name__, logging.WARNING, __file__, 0, warning, (dropped,), None)
            )

    def _write(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # there is no other log
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
    """Wait until all that was logged is written, at most `limit_s`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogWriter):
            handler.flush(limit_s)


@contextmanager
def flushed() -> Iterator[None]:
    """Run the block, then wait until what it logged is written."""
    try:
        yield
    finally:
        flush()


def _descriptor_of(stream: TextIO) -> int | None:
    """Return the file descriptor of `stream`, None on Windows or without one.

    A thread that hangs in `stream.write` holds its lock, and the interpreter aborts at its exit
    when it cannot acquire it. On Windows only the stream can write to a console.
    """
    if os.name == "nt":
        return None
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):
        return None
