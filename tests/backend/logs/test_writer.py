"""Who logs never waits: lines are rendered and written elsewhere, or dropped and counted."""

import logging
import os
import threading
from collections.abc import Iterator
from io import StringIO
from typing import TextIO

import pytest

from backend.logs import writer as logwriter
from backend.logs.writer import LogWriter, flush, flushed
from tests.patience import LIMIT_S

PIPE_BYTES = 4096


class Value:
    """Notes on which thread it is rendered."""

    def __init__(self) -> None:
        self.rendered_on: list[str] = []

    def __str__(self) -> str:
        self.rendered_on.append(threading.current_thread().name)
        return "a value"


class Unprintable:
    """Cannot be rendered."""

    def __str__(self) -> str:
        raise RuntimeError("no words for it")


@pytest.fixture(autouse=True)
def _closing_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a thread that a busy machine holds up."""
    monkeypatch.setattr(logwriter, "FLUSH_LIMIT_S", LIMIT_S)
    monkeypatch.setattr(logwriter.flush, "__defaults__", (LIMIT_S,))


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Return a logger that nobody else hears."""
    log = logging.Logger("tested")  # noqa: LOG001 - pytest listens to those that are registered
    yield log
    for handler in log.handlers:
        handler.close()


@pytest.fixture
def unread() -> Iterator[tuple[TextIO, TextIO]]:
    """Return both ends of a small pipe."""
    fcntl = pytest.importorskip("fcntl")
    readable, writable = os.pipe()
    fcntl.fcntl(writable, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    with os.fdopen(readable, encoding="utf-8") as reader, os.fdopen(writable, "w") as end:
        yield reader, end


def test_lines_are_rendered_elsewhere_and_in_order(log: logging.Logger) -> None:
    """What is logged is written in its order, rendered by the writer's thread."""
    stream, value = StringIO(), Value()
    writer = LogWriter(stream)
    log.addHandler(writer)

    for number in range(100):
        log.info("%d %s", number, value)
    writer.flush(LIMIT_S)

    assert [f"{number} a value" for number in range(100)] == stream.getvalue().splitlines()
    assert {"log-writer"} == set(value.rendered_on)


def test_a_line_that_cannot_be_rendered_costs_no_other(log: logging.Logger) -> None:
    """A value that raises loses its own line."""
    stream = StringIO()
    writer = LogWriter(stream)
    log.addHandler(writer)

    for value in ("before", Unprintable(), "after"):
        log.info("%s", value)
    writer.flush(LIMIT_S)

    assert ["before", "after"] == stream.getvalue().splitlines()


@pytest.mark.faults
def test_a_log_that_nobody_reads_costs_lines_and_no_time(
    log: logging.Logger, unread: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F33: what does not fit is dropped and counted in one WARNING once there is room again."""
    reader, end = unread
    monkeypatch.setattr(logwriter, "MAX_WAITING", 50)
    writer = LogWriter(end)
    log.addHandler(writer)

    for number in range(1000):
        log.info("%s", f"{number} ".ljust(PIPE_BYTES // 8))
    writer.flush(0)
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(reader))
    reading.start()
    writer.close()
    end.close()
    reading.join(LIMIT_S)

    (warning,) = [line for line in lines if "were dropped" in line]
    written = [int(line.split()[0]) for line in lines if line != warning]
    assert sorted(written) == written
    assert 1000 == len(written) + int(warning.split()[0])
    assert 50 <= len(written) < 100


def test_closing_ends_the_thread(log: logging.Logger) -> None:
    """After `close` everything is written and the thread is gone; nothing waits for it any more."""
    stream = StringIO()
    before = set(threading.enumerate())
    writer = LogWriter(stream)
    log.addHandler(writer)
    log.info("the last words")

    writer.close()
    writer.flush(LIMIT_S)

    assert "the last words\n" == stream.getvalue()
    assert set(threading.enumerate()) <= before


def test_a_stream_that_hangs_does_not_hold_a_stop(
    log: logging.Logger, unread: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`flush` and `close` come back although nothing can be written."""
    reader, end = unread
    monkeypatch.setattr(logwriter, "FLUSH_LIMIT_S", 0.05)
    writer = LogWriter(end)
    log.addHandler(writer)
    log.info("x" * 4 * PIPE_BYTES)

    writer.flush(0.05)
    writer.close()

    assert "x" == reader.read(1)
    reader.close()


def test_what_is_printed_afterwards_comes_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind `flushed` and `flush` everything that was logged stands in the stream."""
    stream, root = StringIO(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [LogWriter(stream)])

    with flushed():
        root.warning("first")
    stream.write("second\n")
    root.warning("third")
    flush()
    root.handlers[0].close()

    assert ["first", "second", "third"] == stream.getvalue().splitlines()
