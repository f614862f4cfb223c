"""Every command, found by walking them, in every surrounding: terminals, pipes, letters, Ctrl-C."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import typer

from backend.cli import app
from backend.speech.children import EmbeddedEngine
from backend.storage import Artifacts, holding
from tests.backend.serving import READY, Serving
from tests.command import COMMAND, environment, free_port, invoke, run
from tests.live import chat_body, post
from tests.patience import LIMIT_S
from tests.plugins.retention.stores import store

Words = tuple[str, ...]

LOG_LINE = r"\d{4}-\d\d-\d\dT[\d:.+-]+ \[\w+ *\] .*"
SPOKEN = r"(?:response|comment|reply)"
QUESTION = "question.wav"
OURS = {
    "serve": (r"open http://\S+ in a browser; http://\S+/console is the artist's page",),
    "config": (r"\w+", r"  [A-Z_]+=.*  \(.+\)", r"      \S.*"),
    "doctor": (r"(?:ok    |FAILED)  [^:]+: .*",),
    "plugins": (r"\w+: (?:on|off)(?:, by| in the server that runs;) .*", r"    [a-z ]+: \S.*"),
    "signals": (r"\w+", r"    \S.*", r"        \w+: \S.*"),
    "rehearse": (
        rf"turn \d: {SPOKEN}",
        r"  slot \d(?: on slot \d)? \([\w.-]+\): .*",
        r"waiting for the waves \.\.\.",
        r"preparing the waves: .*|the workers are starting",
        r" +Utterance +Voice +Speech +Waves +Ready after *",
        rf" +turn \d slot \d {SPOKEN}.* \d of 3 .*",
        r"session \S+ is kept in .*",
    ),
    "voices": (
        r"\w+ \.\.\.",
        r"engine \w+: .*",
        r" +Sample +Duration +Level +Peak +Pitch *",
        r" +\w+\.wav .*",
        r"the samples are in .*",
    ),
    "waves decompose": (
        r"decomposing .*",
        r"preparing the waves: .*|the workers are starting",
        r" +File +Length +RMSE +Clipped +Took +Result *",
        r" +\S+\.wav .*",
    ),
}
"""What may stand on the screen besides the log."""
RULE = r" [─ ]+"

SHOWN = {
    *("path", "because", "reason", "message", "problem"),
    *("check", "detail", "url", "help", "voice_profile"),
}
"""What of a command's data is what one reads its text for."""

JSON = "Content-Type: application/json"
SESSIONS = [f"20261128T18020{number}-a-session-with-a-long-name" for number in range(3)]

A_MOMENT = ("--hours", "0.01", "--per-hour", "400", "--seed", "2")
"""A simulation of a few visitors."""

STOP_AT = """
import os, sys, time

class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["STOP_AT"]:
            os.write(2, b"here\\n")
            time.sleep(120)

sys.meta_path.insert(0, Stop())
"""


def _walk(command: Any, words: Words = ()) -> Iterator[tuple[Words, Any]]:
    if not hasattr(command, "list_commands"):
        yield words, command
        return
    if command.invoke_without_command:
        yield words, command
    context = typer.Context(command)
    for name in command.list_commands(context):
        yield from _walk(command.get_command(context, name), (*words, name))


COMMANDS = dict(_walk(typer.main.get_command(app)))
ONCE = [words for words in COMMANDS if words not in {("serve",), ("waves", "worker")}]
"""Those that end by themselves."""


def _options(words: Words) -> set[str]:
    return {word for param in COMMANDS[words].params for word in param.opts if word[:2] == "--"}


ASKING = {("plugins", "enable"), ("plugins", "disable"), ("simulate",)}
"""They leave everything to the server, and load no plugin."""
LOADED = [
    (words, module)
    for words in COMMANDS
    for module in ("pydantic", "structlog.dev", "plugins.waves.settings")
    if words not in ASKING or not module.startswith("plugins")
]
WITH_JSON = [words for words in ONCE if "--json" in _options(words)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return a server in a directory of its own, for the commands that ask one."""
    env = {"RR_WAVES_ENABLED": "false"}
    with Serving(tmp_path_factory.mktemp("server"), env) as serving:
        serving.wait_for(READY)
        post(serving.port, "/v1/chat", json.dumps(chat_body(1)).encode(), JSON)  # to be replayed
        yield serving


@pytest.fixture
def env(server: Serving) -> dict[str, str]:
    """Return settings under which every command has something to show."""
    return {
        "RR_PORT": str(server.port),
        "RR_RETENTION_WAVES_KEEP_LAST": "1",
        "RR_SEED": "1",
        "RR_STT_ENGINE": "embedded",
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with sessions of speech that cannot be read, and one recording."""
    fill(tmp_path)
    path = tmp_path / "recordings" / "a-recording-with-a-name-that-is-rather-long-for-a-name.wav"
    path.parent.mkdir()
    sf.write(path, 0.3 * np.sin(np.arange(11_025) / 23), 22_050)
    voice = EmbeddedEngine(temporary=tmp_path / ".tmp")
    voice.generate_wav_to_file("The river is very old.", "calm_soothing", tmp_path / QUESTION)
    voice.close()
    return tmp_path


def fill(place: Path) -> None:
    """Write sessions of different ages."""
    for hours, session in enumerate(SESSIONS, 1):
        store(Artifacts(place / "artifacts"), session, size=1_500_000, age_s=hours * 3600)


_NUMBERS = count()


def call(words: Words) -> list[str]:
    """Return a command with what it asks for: a recording to read, a directory to write to."""
    if words == ("plugins", "new"):
        return [*words, "tide", "--directory", f"new-{next(_NUMBERS)}"]
    line = [*words, *(["--list"] if words == ("soundcheck",) else [])]  # the others need a card
    for param in COMMANDS[words].params:
        if param.required and param.name == "file":
            line.append(QUESTION)
        elif param.required and param.name == "name":
            line.append("mood")
        elif param.required:
            line += [param.opts[0], "made"] if param.opts[0][:1] == "-" else ["recordings"]
    return [*line, *A_MOMENT] if words == ("simulate",) else line


def screen(line: Sequence[str], cwd: Path, env: dict[str, str], columns: int) -> tuple[int, str]:
    """Run a command in a terminal of its own; return its exit code and what came to the screen."""
    with Terminal(line, cwd, env, columns) as terminal:
        return terminal.wait(), terminal.shown


class Terminal:
    """A command in a pseudo-terminal."""

    def __init__(
        self,
        line: Sequence[str],
        cwd: Path,
        env: dict[str, str],
        columns: int,
        command: Sequence[str] = COMMAND,
    ) -> None:
        import fcntl
        import struct
        import termios

        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        surroundings = environment({"TERM": "xterm-256color", **env})
        for name in ("COLUMNS", "LINES", "CI", "PYTEST_CURRENT_TEST", "PYTEST_VERSION"):
            surroundings.pop(name, None)  # a library may be silent in tests alone
        self.process = subprocess.Popen(
            [*command, *line],
            cwd=cwd,
            env=surroundings,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.shown = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(LIMIT_S)
        os.close(self._ours)

    def read(self, until: str = "") -> None:
        """Read until these words are shown, or to the end."""
        while not until or until not in self.shown:
            assert select.select([self._ours], [], [], LIMIT_S)[0], self.shown
            try:
                data = os.read(self._ours, 65_536)
            except OSError:  # how Linux says that nobody writes there any more
                data = b""
            if not data:
                assert not until, self.shown
                return
            self.shown += data.decode("utf-8", "replace")

    def type(self, keys: bytes) -> None:
        """Send what is typed."""
        os.write(self._ours, keys)

    def wait(self) -> int:
        """Read to the end; return the exit code."""
        self.read()
        return self.process.wait(LIMIT_S)


def lines(shown: str) -> list[str]:
    """Return what stood on the screen, line by line, without colours and moves."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return [line for line in re.split(r"[\r\n]+", plain.replace("^C", "")) if line.strip()]


def told(data: Any) -> Iterator[str]:
    """Yield what of a command's data its text has to show."""
    if isinstance(data, dict):
        for key, value in data.items():
            if re.fullmatch(r"[A-Z][A-Z_]{5,}", key):
                yield key
            elif key in SHOWN and isinstance(value, str) and value:
                yield value.removesuffix(".")
            if key != "labels":  # of a figure; what is zero is left out
                yield from told(value)
    elif isinstance(data, list):
        for item in data:
            yield from told(item)


def pressed(text: str) -> str:
    """Return a text without spaces, and with one digit for any number."""
    return re.sub(r"[\d.]+", "0", "".join(text.split()))


@pytest.mark.e2e
@pytest.mark.parametrize("words", WITH_JSON, ids=" ".join)
def test_json_is_all_of_standard_output(words: Words, place: Path, env: dict[str, str]) -> None:
    """Whatever is logged and however much, standard output holds one JSON document."""
    done = run(*call(words), "--json", cwd=place, env={**env, "RR_LOG_LEVEL": "debug"})

    assert json.loads(done.stdout)
    assert done.returncode in {0, 1}
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("words", WITH_JSON, ids=" ".join)
def test_what_matters_is_whole_in_a_narrow_terminal(
    words: Words, place: Path, env: dict[str, str]
) -> None:
    """At 60 and 80 columns names, paths, settings and reasons are there, at most folded."""
    env["RR_WAVES_ENABLED"] = "false"
    data = run(*call(words), "--json", cwd=place, env=env).stdout
    wanted = [*told(json.loads(data)), *(name for name in SESSIONS if name in data)]

    for columns, more in ((60, {"NO_COLOR": "1"}), (80, {"TERM": "dumb"})):
        fill(place)  # what a run removed is there again for the next
        _, shown = screen(call(words), place, {**env, **more}, columns)
        text = pressed("".join(lines(shown)))
        missing = [
            value
            for value in wanted
            if not any(
                pressed(form) in text
                for form in (value, os.path.relpath(value, place / "artifacts"), Path(value).name)
            )
        ]
        assert [] == missing, shown
        assert "…" not in shown
        coloured = r"\x1b\[[0-9;]*(?:3[0-8]|4[0-8]|9[0-7])m" if "NO_COLOR" in more else r"\x1b"
        assert not re.search(coloured, shown), repr(shown)


@pytest.mark.e2e
@pytest.mark.parametrize("words", ONCE, ids=" ".join)
def test_few_letters_and_closed_streams_end_no_command(
    words: Words, place: Path, env: dict[str, str]
) -> None:
    """In ASCII, with a reader that went away or no standard output there is no traceback."""
    env["RR_WAVES_ENABLED"] = "false"
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    gone, away = os.pipe()
    os.close(gone)
    try:
        for more, stdout in ((ascii_only, subprocess.PIPE), ({}, away)):
            done = subprocess.run(
                [*COMMAND, *call(words)],
                cwd=place,
                env=environment({**env, **more}),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE,
                timeout=LIMIT_S,
            )
            assert done.returncode in {0, 1}, done.stderr
            assert b"Traceback" not in done.stderr, done.stderr
            assert b"Exception ignored" not in done.stderr, done.stderr
            assert not done.stdout or done.stdout.isascii()
    finally:
        os.close(away)
    if os.name == "posix":
        closed = ["sh", "-c", 'exec "$@" >&-', "sh", *COMMAND, *call(words)]
        done = subprocess.run(
            closed, cwd=place, env=environment(env), capture_output=True, timeout=LIMIT_S
        )
        assert (b"", True) == (done.stdout, done.returncode in {0, 1}), done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("name", OURS)
def test_every_line_on_the_screen_is_ours(name: str, place: Path) -> None:
    """On a terminal no library prints a word: each line is the log's or the command's own."""
    words = tuple(name.split())
    with Terminal(call(words), place, {"RR_PORT": str(free_port())}, 400) as terminal:
        if name == "serve":
            terminal.read(READY)
            terminal.type(b"\x03")
        code = terminal.wait()

    allowed = re.compile("|".join((LOG_LINE, RULE, *OURS[name])))
    assert [] == [line for line in lines(terminal.shown) if not allowed.fullmatch(line)]
    assert 0 == code, terminal.shown


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("name", ["waves decompose", "waves backfill"])
def test_the_state_of_the_workers_is_no_part_of_the_progress_bar(name: str, place: Path) -> None:
    """On a terminal a line that says why no job begins stands alone, the bar below it."""
    sf.write(
        Artifacts(place / "artifacts").turn("tts", SESSIONS[0], 1) / "missing.wav", [0.1] * 99, 8000
    )
    _, shown = screen(call(tuple(name.split())), place, {}, 100)

    rows = [row.rpartition("\x1b[2K")[2] for row in shown.split("\r\n")]  # what erases a line
    (told, *_) = [row for row in rows if "the workers are starting" in row]
    assert ["the workers are starting"] == lines(told)


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_the_library_of_models_prints_nothing(tmp_path: Path) -> None:
    """On a terminal, with a key, the first run of an agent of that library is silent."""
    program = """
from backend.agents import create_agents
from backend.config import (Settings)
from backend.logs import (configure_logging)

configure_logging("info")
create_agents(Settings()).warm_up()
"""
    env = {"OPENAI_API_KEY": "sk-of-nobody"}
    with Terminal((), tmp_path, env, 400, (sys.executable, "-c", program)) as terminal:
        code = terminal.wait()

    assert [] == [line for line in lines(terminal.shown) if not re.fullmatch(LOG_LINE, line)]
    assert 0 == code


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child")
@pytest.mark.parametrize(("words", "module"), LOADED, ids=str)
def test_ctrl_c_while_python_loads(words: Words, module: str, place: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle of an import ends any command with 130 and no traceback."""
    (tmp_path / "sitecustomize.py").write_text(STOP_AT)
    env = environment({"PYTHONPATH": str(tmp_path), "STOP_AT": module})
    with subprocess.Popen(
        [*COMMAND, *call(words)], cwd=place, env=env, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "here\n" == process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()

    assert 130 == process.returncode, said
    assert said in {"", "interrupted\n"}


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("rehearse", "turn 2"),
        ("waves decompose", "0/1"),
        ("voices", "..."),
        ("rehearse", "waiting"),
    ],
)
def test_ctrl_c_in_a_terminal(name: str, moment: str, place: Path) -> None:
    """Ctrl-C reaches the command and all its children; it ends with 130 and no traceback."""
    env = {"RR_WAVES_KERNEL_CACHE": str(place / "none-yet")}
    with Terminal(call(tuple(name.split())), place, env, 400) as terminal:
        terminal.read(moment)
        terminal.type(b"\x03")
        code = terminal.wait()

    assert 130 == code, terminal.shown
    assert "interrupted" in lines(terminal.shown)[-1]
    assert "Traceback" not in terminal.shown
    assert "Exception ignored" not in terminal.shown


@pytest.mark.e2e
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_hint_names_only_options_that_the_command_has(words: Words, place: Path) -> None:
    """Where nothing is as it should be, what a command advises can be done."""
    env = {"RR_PORT": str(free_port()), "RR_WAVES_ENABLED": "false"}
    with holding(Artifacts(place / "artifacts"), "another"):
        done = run(*call(words), cwd=place, env=env)

    named = set(re.findall(r"(?<!\S)--[a-z-]+", done.stderr))
    assert named <= _options(words)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_wrong_usage_is_one_line(words: Words) -> None:
    """An option that does not exist is named on one line with the way to the help; exit code 2."""
    done = invoke(*words, "--no-such-option")

    assert (2, "") == (done.exit_code, done.stdout)
    (line,) = done.stderr.splitlines()
    assert "--no-such-option" in line
    assert line.endswith(f"see `reflective-resonance {' '.join(words)} --help`")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_offers_to_change_the_shell(words: Words) -> None:
    """No command, a plugin's neither, has options that install or print shell completion."""
    assert [] == [option for option in _options(words) if "completion" in option]
