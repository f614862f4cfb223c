"""What gets into the log, and what never does."""

import json
import logging
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
import structlog
from pydantic import BaseModel, SecretStr, ValidationError

from backend.logs import LINES, flush, recent_lines
from backend.logs.recent import MAX_CHARACTERS
from backend.logs.setup import NOISY, OWN, SILENT, _write_traceback, configure_logging
from tests.backend.serving import READY, Serving
from tests.command import free_port, run
from tests.live import chat_body, get, post
from tests.patience import LIMIT_S, until

TOKEN = "xqsecret-token"
CANARY = "xqcanary"
FORGED = "2026-01-01T00:00:00.000000 [error    ] forged"
HOSTILE = f"a\n{FORGED}\r\n\x1b[31m{FORGED}\x1b[0m\u2028{FORGED}\x85\x00b"
LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+[+-]\d\d:\d\d \[")


class Said:
    """A logger of ours, and what has been said."""

    def __init__(self, stream: StringIO) -> None:
        self.log: structlog.stdlib.BoundLogger = structlog.get_logger("backend.test")
        self._stream = stream

    def text(self) -> str:
        """Return everything that was logged."""
        flush(LIMIT_S)
        return self._stream.getvalue()


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    """Log at debug into memory during the test; afterwards as before."""
    stream = StringIO()
    root = logging.getLogger()
    handlers, raising = root.handlers[:], logging.raiseExceptions
    levels = {name: logging.getLogger(name).level for name in ("", *OWN, *NOISY, *SILENT)}
    configuration = structlog.get_config()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        configure_logging("debug", [SecretStr(TOKEN), None])
    yield Said(stream)
    root.handlers[0].close()
    root.handlers[:], logging.raiseExceptions = handlers, raising
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    structlog.configure(**configuration)


def test_a_value_cannot_forge_a_line(said: Said) -> None:
    """Line breaks and escape sequences in values, events and libraries' messages are escaped."""
    said.log.info("one", agent=HOSTILE, number=[HOSTILE], error=ValueError(HOSTILE))
    said.log.warning(HOSTILE)
    logging.getLogger("uvicorn.error").info("%s", HOSTILE)

    lines = said.text().splitlines()

    assert 3 == len(lines)
    assert all(LINE.match(line) and "\x1b" not in line for line in lines)


def test_what_a_closing_page_leaves_is_not_logged(said: Said) -> None:
    """Lines of libraries that say nothing is wrong are left out, and no others of theirs."""
    for count in (0, 2):
        logging.getLogger("uvicorn.error").error("Cancel %s running task(s), timeout", count)
    logging.getLogger("asyncio").warning("socket.send() raised exception.")
    logging.getLogger("asyncio").error("Task exception was never retrieved")

    first, second = said.text().splitlines()

    assert "Cancel 2 running" in first
    assert "never retrieved" in second


def test_a_traceback_cannot_forge_a_line(said: Said) -> None:
    """Every line of a traceback is indented, those of the exception's message too."""
    for report in (said.log.exception, logging.getLogger("library").exception):
        try:
            raise ValueError(HOSTILE)
        except ValueError:
            report("it failed")

    lines = said.text().splitlines()

    assert 2 == sum(LINE.match(line) is not None for line in lines)
    assert all(line.startswith("    | ") or LINE.match(line) or not line for line in lines)
    assert "ValueError" in "".join(lines)
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize("kept", [True, False])
def test_a_traceback_without_texts_has_no_messages(kept: bool) -> None:
    """What an error quotes is left out, that of its causes and its group too; the rest stays."""
    stream = StringIO()
    try:
        try:
            raise KeyError("canary words")
        except KeyError as error:
            raise ExceptionGroup("canary", [ValueError("canary again"), OSError()]) from error
    except ExceptionGroup as error:
        _write_traceback(stream, (type(error), error, error.__traceback__), keep_texts=kept)

    text = stream.getvalue()

    assert kept == ("canary" in re.sub(r"raise .*", "", text))
    assert all(name in text for name in ("KeyError", "ExceptionGroup", "ValueError", "OSError"))


@pytest.mark.faults
def test_a_log_that_raises_spares_its_callers(said: Said) -> None:
    """F33: no method of a logger raises, although a handler does."""

    levels: list[str] = []

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            levels.append(record.levelname.lower())
            raise OSError("no log")

    failing = Failing()
    methods = ["debug", "info", "warning", "error", "critical"]
    logging.getLogger("backend").addHandler(failing)
    try:
        for method in methods:
            getattr(said.log, method)("an event", value=1)
    finally:
        logging.getLogger("backend").removeHandler(failing)

    assert methods == levels


def test_a_secret_is_replaced_wherever_it_stands(said: Said) -> None:
    """In an event, a value, a library's message or a traceback, a key is stars."""
    said.log.info("with xqsecret-token", header=f"Bearer {TOKEN}", listed=[TOKEN])
    logging.getLogger("library").warning("sent %s", TOKEN)
    try:
        raise RuntimeError(TOKEN)
    except RuntimeError:
        said.log.exception("failed")

    text = said.text()

    assert TOKEN not in text
    assert 5 <= text.count("**********")


def test_a_wrong_field_is_named_without_its_input(said: Said) -> None:
    """pydantic quotes the input in its message; the log tells the field and the kind of error."""

    class Said(BaseModel):
        number: int

    try:
        try:
            Said.model_validate({"number": CANARY})
        except ValidationError as error:
            raise RuntimeError("the answer is not valid") from error
    except RuntimeError:
        said.log.exception("failed")

    text = said.text()

    assert CANARY not in text
    assert "number: int_parsing" in text


def test_libraries_are_not_heard_at_debug(said: Said) -> None:
    """At DEBUG libraries log requests whole; only our own packages are heard there."""
    for library in ("openai._base_client", "anthropic", "websockets", "uvicorn.error", "httpx2"):
        logging.getLogger(library).debug(CANARY)
    said.log.debug("ours")

    text = said.text()

    assert CANARY not in text
    assert "ours" in text


@pytest.mark.e2e
def test_an_answer_says_its_session_and_its_turn(tmp_path: Path) -> None:
    """The line of each answer names the session and the turn."""
    env = {"RR_WAVES_ENABLED": "false", "RR_LOG_LEVEL": "info"}

    done = run("rehearse", "--slots", "1", cwd=tmp_path, env=env)

    (session,) = (tmp_path / "artifacts/tts/sessions").iterdir()
    (answer,) = [line for line in done.stderr.splitlines() if "agent answered" in line]
    assert f"session_id={session.name}" in answer
    assert "turn_index=1" in answer


@pytest.mark.e2e
@pytest.mark.parametrize("level", ["debug", "info", "error"])
def test_a_server_keeps_its_token_and_forged_lines_out(tmp_path: Path, level: str) -> None:
    """Whatever level, neither the token nor a line of a stranger's making is in the log."""
    env = {"RR_WAVES_ENABLED": "false", "RR_LOG_LEVEL": level, "RR_API_TOKEN": TOKEN}
    env["OPENAI_API_KEY"] = f"sk-{TOKEN}"
    bearer = f"Authorization: Bearer {TOKEN}"

    with Serving(tmp_path, env) as serving:
        if level == "error":
            until(lambda: bool(serving.process.net_connections()), "it listens")
        else:
            serving.wait_for(READY)
        statuses = [
            get(serving.port, target, *headers).status
            for target, headers in (
                ("/v1/agents", [bearer]),
                ("/v1/agents", [f"{bearer}x"]),
                (f"/v1/audio/tts/a%0a{FORGED.replace(' ', '%20')}.wav", [bearer]),
                ("/v1/audio/tts/%1b%5b31mred.wav", [bearer]),
                ("/v1/agents", [bearer, "Upgrade: \x1b[31m", "Connection: upgrade"]),
                (f"/v1/agents?{TOKEN}", [bearer, "Upgrade: websocket", "Connection: upgrade"]),
            )
        ]
        serving.stop()

    said = "".join(serving.log)
    assert [200, 401, 404, 404] == statuses[:4]
    assert TOKEN not in said
    assert "\x1b" not in said
    assert not any(line.startswith(FORGED[:20]) for line in serving.log)


FAILING_LOG = """
import logging
from backend.logs import setup as logs
class Failing(logging.Handler):
    def emit(self, record):
        raise OSError("no log")
configure = logs.configure_logging
def failing(*arguments, **options):
    configure(*arguments, **options)
    logging.getLogger("backend").addHandler(Failing())
logs.configure_logging = failing
from backend.__main__ import main
main()
"""


SMALLEST_PIPE = 4096  # bytes; a few lines


@pytest.mark.e2e
@pytest.mark.faults
@pytest.mark.parametrize("fault", ["handler", "closed", "blocked"])
def test_a_failing_log_stops_no_session(tmp_path: Path, fault: str, project_root: Path) -> None:
    """F33: whatever the log does, a session comes through with its waves, and so does the stop.

    Its handler raises, or standard error is closed, or a full pipe that nobody reads.
    """
    port = free_port()
    program = ["-c", FAILING_LOG] if fault == "handler" else ["-m", "backend"]
    body = json.dumps(chat_body(1, 2)).encode()

    with subprocess.Popen(
        [sys.executable, *program, "serve", "--port", str(port)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(project_root), "RR_LOG_LEVEL": "debug"},
        stderr=subprocess.DEVNULL if fault == "handler" else subprocess.PIPE,
    ) as serving:
        if serving.stderr is not None and fault == "blocked":
            import fcntl

            fcntl.fcntl(serving.stderr, fcntl.F_SETPIPE_SZ, SMALLEST_PIPE)
        elif serving.stderr is not None:
            serving.stderr.close()
        try:
            until(lambda: listens(port), "it listens")
            answer = post(port, "/v1/chat", body, "Content-Type: application/json")
            spoken = answer.body.count(b"event: slot.audio")
            waves = tmp_path / "artifacts/waves/sessions"
            until(lambda: 3 * spoken == len(list(waves.rglob("*.wav"))), "the waves are there")
        finally:
            serving.terminate()
            serving.wait(LIMIT_S)

    assert 4 <= spoken
    assert b"event: done" in answer.body
    assert 0 == serving.returncode


def listens(port: int) -> bool:
    """Tell whether somebody answers on `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_the_last_lines_are_kept_with_their_values(said: Said) -> None:
    """Each has its time, level, event and fields; secrets are replaced, in tracebacks too."""
    said.log.info("waves were made", slot=3, agent=f"key {TOKEN}")
    try:
        raise ValueError(TOKEN)
    except ValueError:
        said.log.exception("it failed")
    said.text()

    made, failed = recent_lines()[-2:]

    assert ("info", "waves were made") == (made.level, made.event)
    assert {"slot": 3, "agent": "key **********"} == made.fields
    assert abs(datetime.now(UTC) - made.at) < timedelta(minutes=1)
    assert "ValueError: **********" in str(failed.fields["exception"])


def test_only_the_last_lines_are_kept(said: Said) -> None:
    """There are never more than 1,000, and a long value is cut."""
    for number in range(LINES + 10):
        said.log.info("counted", number=number, long="x" * 10_000)
    said.text()

    lines = recent_lines()

    assert [*range(10, LINES + 10)] == [line.fields["number"] for line in lines]
    assert {"x" * MAX_CHARACTERS} == {line.fields["long"] for line in lines}
