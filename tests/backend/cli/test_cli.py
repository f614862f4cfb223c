"""The command line as it is typed: what it prints, where, and with which exit code."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
import typer

from backend.cli import group, main
from backend.config import REPLACED
from backend.plugins import Discovered, Plugin, PluginSettings
from tests import command
from tests.command import Running, free_port, invoke, run
from tests.patience import SOON_S

OFF = {"RR_WAVES_ENABLED": "false"}
COMMANDS = {
    (): [
        "serve",
        "rehearse",
        "voices",
        "config",
        "doctor",
        "plugins",
        "signals",
        "prune",
        "stats",
        "touchdesigner",
        "waves",
    ],
    ("serve",): ["--host", "--port", "--artifacts"],
    ("rehearse",): ["message", "--slots", "--seed", "--like", "--artifacts", "--json"],
    ("voices",): ["--say", "--out", "--json"],
    ("config",): ["--json"],
    ("doctor",): ["--artifacts", "--json"],
    ("plugins",): ["--json"],
    ("signals",): ["--json"],
    ("stats",): ["--url", "--json"],
    ("waves",): ["decompose"],
    ("waves", "decompose"): ["paths", "--out"],
    ("touchdesigner",): ["--host", "--port"],
}


@pytest.mark.e2e
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_names_everything(command: tuple[str, ...], tmp_path: Path) -> None:
    """--help of each command names its commands or options on stdout and makes no file."""
    done = run(*command, "--help", cwd=tmp_path)

    assert (0, "") == (done.returncode, done.stderr)
    assert [] == [word for word in COMMANDS[command] if word not in done.stdout]
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(("command", "word"), [("", "lamp"), ("light", "light")])
def test_a_plugin_chooses_the_word_of_its_commands(
    command: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its commands stand under the word it chose, else its name; a lone one needs no second."""
    commands = typer.Typer()
    commands.command()(lambda: print("it is lit"))
    plugin = Plugin("lamp", PluginSettings, "never:imported", commands=commands, command=command)
    monkeypatch.setattr(group, "discover", lambda: [Discovered("lamp", plugin)])

    done, listed = (invoke(argument) for argument in (word, "--help"))
    other = invoke("light" if word == "lamp" else "lamp")

    assert (0, "it is lit\n") == (done.exit_code, done.stdout)
    assert word in listed.stdout.split()
    assert 2 == other.exit_code


@pytest.mark.parametrize(
    "arguments", [["--out", "{file}"], ["--say", " "]], ids=["a file", "no words"]
)
def test_voices_refuses_what_it_cannot_do(arguments: list[str], tmp_path: Path) -> None:
    """A file in the place of a directory, or no words, is wrong usage and said once."""
    file = tmp_path / "README.md"
    file.touch()

    done = invoke("voices", *(one.format(file=file) for one in arguments))

    assert (2, "") == (done.exit_code, done.stdout)
    assert 1 == len(done.stderr.splitlines())


@pytest.mark.e2e
def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    """--version prints one number."""
    done = run("--version", cwd=tmp_path)

    assert 0 == done.returncode
    assert done.stdout.strip().replace(".", "").isdigit()


@pytest.mark.e2e
@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["rehearse", "--slots", "7"],
        ["rehearse", "--seed", "-1"],
        ["serve", "--port", "99999"],
        ["serve", "--port", "water"],
        ["waves", "nothing"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], tmp_path: Path) -> None:
    """What cannot be meant is told on stderr without a traceback."""
    done = run(*arguments, cwd=tmp_path)

    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_rehearse_prints_pure_json(tmp_path: Path) -> None:
    """A rehearsal of two slots has six utterances with three waves each, told as data alone."""
    done = run(
        "rehearse", "--slots", "2", "--seed", "1", "--json", "--artifacts", "kept", cwd=tmp_path
    )

    report = json.loads(done.stdout)
    assert (0, True, []) == (done.returncode, report["ok"], report["problems"])
    assert str(tmp_path / "kept") == report["artifacts"]
    spoken = [(row["turn_index"], row["slot_id"], row["kind"]) for row in report["utterances"]]
    kinds = {1: "response", 2: "comment", 3: "reply"}
    assert [(turn, slot, kinds[turn]) for turn in (1, 2, 3) for slot in (1, 2)] == spoken
    for row in report["utterances"]:
        assert 3 == len(row["waves"])
        assert all(
            (tmp_path / "kept" / path).is_file() for path in [row["audio_path"], *row["waves"]]
        )
        assert row["text"] in done.stderr
        assert row["duration_s"] > 0
        assert row["ready_ms"] > 0
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_rehearse_shows_a_table(tmp_path: Path) -> None:
    """Without --json stdout is a table of utterances; waves that are missing are exit code 1."""
    done = run("rehearse", "--slots", "1", "--seed", "1", cwd=tmp_path, env=OFF)

    assert 1 == done.returncode
    assert "slot 1 response" in done.stdout
    assert "0 of 3" in done.stdout
    assert "'waves' is disabled" in done.stderr


@pytest.mark.e2e
def test_rehearse_without_waves_gives_the_reason_as_data(tmp_path: Path) -> None:
    """With the waves off the report says so, and the speech is there all the same."""
    done = run("rehearse", "--slots", "1", "--json", cwd=tmp_path, env=OFF)

    report = json.loads(done.stdout)
    assert (1, False) == (done.returncode, report["ok"])
    assert any("disabled" in problem for problem in report["problems"])
    assert (tmp_path / "artifacts" / report["utterances"][0]["audio_path"]).is_file()


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RR_PORT", "99999"),
        ("RR_LOG_LEVEL", "loud"),
        ("RR_CORS_ORIGINS", "localhost:5173"),
        ("RR_WAVES_MAX_WORKERS", "0"),
        ("RR_WAVES_PROCESSING_SR", "44100"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(
    variable: str, value: str, tmp_path: Path
) -> None:
    """A setting out of range is named with its value, once, before anything starts."""
    done = run("serve", cwd=tmp_path, env={variable: value})

    assert (2, "") == (done.returncode, done.stdout)
    lines = done.stderr.splitlines()
    assert 1 == len(lines), lines
    assert variable in lines[0]
    assert value in lines[0]


@pytest.mark.e2e
def test_all_wrong_settings_are_told_at_once(tmp_path: Path) -> None:
    """Wrong settings of the host and of plugins are a line each."""
    env = {"RR_PORT": "0", "RR_LOG_LEVEL": "loud", "RR_WAVES_MAX_WORKERS": "0"}
    env["RR_SHOW_RING_SIZE"] = "many"

    done = run("config", cwd=tmp_path, env=env)

    assert 2 == done.returncode
    assert ["RR_PORT", "RR_LOG_LEVEL", "RR_WAVES_MAX_WORKERS", "RR_SHOW_RING_SIZE"] == [
        name for line in done.stderr.splitlines() for name in env if name in line
    ]


@pytest.mark.e2e
def test_a_misspelt_setting_is_a_warning_with_the_right_name(tmp_path: Path) -> None:
    """An unknown RR_ variable, in the environment or in .env, is named with its nearest."""
    (tmp_path / ".env").write_text("RR_WAVES_MAX_WORKRS=1\n", encoding="utf-8")

    done = run("rehearse", "--slots", "1", cwd=tmp_path, env={**OFF, "RR_PROT": "1"})

    warnings = [line for line in done.stderr.splitlines() if "setting is not read" in line]
    assert any("RR_PROT" in line and "RR_PORT" in line for line in warnings)
    assert any(
        "RR_WAVES_MAX_WORKRS" in line and "RR_WAVES_MAX_WORKERS" in line for line in warnings
    )
    assert 2 == len(warnings)


@pytest.mark.e2e
def test_config_shows_sources_and_no_secret(tmp_path: Path) -> None:
    """Each setting comes with its value and where it was set; keys are redacted."""
    (tmp_path / ".env").write_text(
        "RR_PORT=8100\nRR_HOST=0.0.0.0\nRR_API_TOKEN=canary-token\n"
        "ANTHROPIC_API_KEY=sk-canary-file\n",
        encoding="utf-8",
    )
    env = {"RR_PORT": "8200", "RR_WAVES_MAX_WORKERS": "3", "OPENAI_API_KEY": "sk-canary"}

    as_json, as_table = (run("config", *extra, cwd=tmp_path, env=env) for extra in (["--json"], []))

    settings = json.loads(as_json.stdout)
    assert {"value": "8200", "source": "environment"} == settings["host"]["RR_PORT"]
    assert {"value": "0.0.0.0", "source": ".env"} == settings["host"]["RR_HOST"]
    assert {"value": "artifacts", "source": "default"} == settings["host"]["RR_ARTIFACTS_DIR"]
    assert {"value": "3", "source": "environment"} == settings["waves"]["RR_WAVES_MAX_WORKERS"]
    assert "environment" == settings["host"]["OPENAI_API_KEY"]["source"]
    assert ".env" == settings["host"]["ANTHROPIC_API_KEY"]["source"]
    assert "RR_WAVES_JOB_TIMEOUT_S" in as_table.stdout
    for done in (as_json, as_table):
        assert 0 == done.returncode
        assert "canary" not in done.stdout + done.stderr


@pytest.mark.e2e
def test_a_wrong_setting_hides_the_secrets_beside_it(tmp_path: Path) -> None:
    """The line about one wrong setting holds no key."""
    env = {"RR_PORT": "0", "OPENAI_API_KEY": "sk-canary"}

    done = run("config", cwd=tmp_path, env=env)

    assert 2 == done.returncode
    assert "canary" not in done.stdout + done.stderr


@pytest.mark.e2e
def test_voices_makes_a_sample_of_each(tmp_path: Path) -> None:
    """Each voice in use says the words; the data names file, duration, level and pitch."""
    done = run("voices", "--say", "Good evening, water.", "--out", "heard", "--json", cwd=tmp_path)

    report = json.loads(done.stdout)
    assert (0, True) == (done.returncode, report["ok"])
    assert 6 == len(report["samples"]) == len(list((tmp_path / "heard").glob("*.wav")))


@pytest.mark.e2e
def test_json_is_json_in_every_encoding(tmp_path: Path) -> None:
    """Where a pipe is not UTF-8, as on Windows, words from all over the world are data still."""
    env = command.environment({**OFF, "PYTHONIOENCODING": "cp1252:strict"})
    words = ["Was träumt 水?", "--slots", "1", "--seed", "1", "--json"]

    done = subprocess.run(
        [*command.COMMAND, "rehearse", *words], cwd=tmp_path, env=env, capture_output=True
    )

    assert any("träumt" in row["text"] for row in json.loads(done.stdout)["utterances"])


@pytest.mark.e2e
def test_a_path_is_shown_as_it_is(tmp_path: Path) -> None:
    """Brackets in a value are no markup."""
    env = {"RR_ARTIFACTS_DIR": "art [biennale][/x]", "RR_PORT": str(free_port())}

    shown, examined = run("config", cwd=tmp_path, env=env), run("doctor", cwd=tmp_path, env=env)

    assert (0, 0) == (shown.returncode, examined.returncode)
    assert "art [biennale][/x]" in shown.stdout
    assert "art [biennale][/x]" in examined.stdout


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="closed by a POSIX shell")
def test_without_standard_error_a_command_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed before the start it takes nothing with it, and no file gets its descriptor."""
    closed = ("sh", "-c", 'exec "$@" 2>&-', "sh", *command.COMMAND)
    monkeypatch.setattr(command, "COMMAND", closed)

    done = run("config", "--json", cwd=tmp_path)

    assert 0 == done.returncode
    assert "RR_PORT" in json.loads(done.stdout)["host"]


@pytest.mark.e2e
def test_an_engine_without_its_key_is_a_wrong_setting(tmp_path: Path) -> None:
    """The server does not start on a service it has no key for, and says so in one line."""
    done = run("serve", cwd=tmp_path, env={"RR_SPEECH_ENGINE": "elevenlabs"})

    assert (2, "") == (done.returncode, done.stdout)
    assert "ELEVENLABS_API_KEY" in done.stderr.splitlines()[-1]


@pytest.mark.e2e
def test_doctor_finds_everything_well(tmp_path: Path) -> None:
    """On a machine that can run the installation every check is ok and the exit code 0."""
    done = run("doctor", "--json", cwd=tmp_path, env={"RR_PORT": str(free_port())})

    findings = json.loads(done.stdout)
    assert (0, []) == (done.returncode, [finding for finding in findings if not finding["ok"]])
    agents = [finding["check"] for finding in findings if "agents: " in finding["check"]]
    assert (8, 3) == (len(findings) - len(agents), len(agents))


@pytest.mark.e2e
def test_config_and_doctor_name_what_nothing_reads(tmp_path: Path) -> None:
    """The data too; what an earlier version has left is no failure, a misspelling is one."""
    (tmp_path / ".env").write_text(
        "OPENAI_KEY=sk-canary\nRR_TTS_OUTPUT_FORMAT=pcm_24000\n", encoding="utf-8"
    )
    env = {"RR_PORT": str(free_port())}

    as_json, as_text, doctor = (
        run(*command, cwd=tmp_path, env=env)
        for command in (["config", "--json"], ["config"], ["doctor", "--json"])
    )

    unread = json.loads(as_json.stdout)["unread"]
    assert [("OPENAI_KEY", "OPENAI_API_KEY"), ("RR_TTS_OUTPUT_FORMAT", None)] == [
        (one["name"], one["nearest"]) for one in unread
    ]
    assert "OPENAI_KEY (.env, line 1): nothing reads it; did you mean OPENAI_API_KEY?" in (
        as_text.stdout
    )
    findings = {one["check"]: one["ok"] for one in json.loads(doctor.stdout)}
    assert (False, True) == (
        findings["setting OPENAI_KEY"],
        findings["setting RR_TTS_OUTPUT_FORMAT"],
    )
    for done in (as_json, as_text, doctor):
        assert "canary" not in done.stdout + done.stderr


@pytest.mark.e2e
def test_the_settings_file_of_an_earlier_version_starts_the_server(
    tmp_path: Path, project_root: Path
) -> None:
    """No line of it is an error, and what has no successor is named at start."""
    shutil.copy(project_root / "tests/data/earlier.env", tmp_path / ".env")

    with Running("serve", "--port", str(free_port()), cwd=tmp_path, env=OFF) as serving:
        for name in REPLACED:
            serving.wait_for(name)
        serving.wait_for("plugin started")
        code = serving.stop()

    assert 0 == code
    assert [] == [line for line in serving.log if "error" in line]


@pytest.mark.e2e
def test_doctor_names_what_fails(tmp_path: Path) -> None:
    """One failing check is exit code 1 and stands in the table with its reason."""
    (tmp_path / "file").write_bytes(b"")

    done = run(
        "doctor", "--artifacts", "file/below", cwd=tmp_path, env={"RR_PORT": str(free_port())}
    )

    assert 1 == done.returncode
    assert "FAILED" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.e2e
def test_ctrl_c_ends_a_rehearsal(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a session is exit code 130, without traceback or orphan."""
    env = {"RR_WAVES_MAX_WORKERS": "1"}
    with Running("rehearse", "--slots", "6", cwd=tmp_path, env=env) as rehearsal:
        rehearsal.wait_for("turn 2")
        children = rehearsal.children
        code = rehearsal.stop(signal.SIGINT)

    assert 130 == code
    assert "interrupted" in rehearsal.log[-1]
    assert "Traceback" not in "".join(rehearsal.log)
    _, alive = psutil.wait_procs(children, SOON_S)
    assert children
    assert [] == alive


def test_the_address_for_other_machines_is_one_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server can listen on it; without a network it is the name of this machine."""
    with socket.socket() as listening:
        listening.bind((main._own_address(), 0))

    monkeypatch.setattr(socket, "socket", Unreachable)
    assert socket.gethostname() == main._own_address()


class Unreachable(socket.socket):
    """A socket of a machine without a network."""

    def connect(self, address: object) -> NoReturn:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")
