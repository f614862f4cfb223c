"""Variables of other programs change nothing that a visitor notices, and no command fails of them.

What may change us: `COLUMNS`, `NO_COLOR` and `TERM` how tables look, `TZ` and `LC_*` nothing that
is written to a file, `SSL_CERT_*` and `*_PROXY` how services are reached, `TMPDIR` nothing.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.command import COMMAND, environment, run
from tests.patience import LIMIT_S

GROUPS: dict[str, dict[str, str]] = {
    "compilers": {
        "NUMBA_DISABLE_JIT": "1",
        "NUMBA_CACHE_DIR": "/proc/none",
        "NUMBA_NUM_THREADS": "x",
        "NUMBA_BOUNDSCHECK": "1",
        "LIBROSA_CACHE_DIR": "/proc/none",
    },
    "threads": {
        "OPENBLAS_NUM_THREADS": "64",
        "OMP_NUM_THREADS": "many",
        "OPENBLAS_CORETYPE": "none",
        "MALLOC_ARENA_MAX": "1",
    },
    "strict": {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
    "optimised": {"PYTHONOPTIMIZE": "2", "PYTHONHASHSEED": "7", "PYTHONSAFEPATH": "1"},
    "no UTF-8": {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "LANG": "xx"},
    "language": {"LC_ALL": "tr_TR.UTF-8", "TZ": "Nowhere/None", "COLUMNS": "1", "TERM": ""},
    "network": {
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "ALL_PROXY": "socks5://127.0.0.1:9",
        "SSL_CERT_FILE": "/nowhere/ca.pem",
        "SSL_CERT_DIR": "/nowhere",
    },
    "places": {"HOME": "/nowhere", "TMPDIR": "/nowhere", "XDG_CACHE_HOME": "/proc/none"},
    "servers": {
        "UVICORN_PORT": "9",
        "WEB_CONCURRENCY": "4",
        "FORWARDED_ALLOW_IPS": "*",
        "ESPEAK_DATA_PATH": "/nowhere",
        "PROMETHEUS_DISABLE_CREATED_SERIES": "true",
    },
}


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="the paths are those of POSIX")
@pytest.mark.parametrize("name", GROUPS)
def test_a_session_is_whole_whatever_other_programs_have_set(name: str, tmp_path: Path) -> None:
    """Each utterance has its speech and its waves, and no traceback is printed."""
    env = {**GROUPS[name], "RR_WAVES_KERNEL_CACHE": str(tmp_path / "kernels")}

    done = run("rehearse", "Hello", "--slots", "1", "--seed", "1", "--json", cwd=tmp_path, env=env)

    assert 0 == done.returncode, done.stderr
    assert "Traceback" not in done.stderr
    (utterance,) = json.loads(done.stdout)["utterances"]
    assert 3 == len(utterance["waves"])


@pytest.mark.e2e
@pytest.mark.parametrize("directory", ["none", "."])
def test_figures_are_not_shared_by_a_directory_of_another_program(
    directory: str, tmp_path: Path
) -> None:
    """`PROMETHEUS_MULTIPROC_DIR` writes no file, and one that is not there stops no plugin."""
    env = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / directory)}

    done = run("rehearse", "Hello", "--slots", "1", "--seed", "1", "--json", cwd=tmp_path, env=env)

    assert (0, []) == (done.returncode, list(tmp_path.glob("*.db"))), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="arguments of Windows are always text")
def test_an_argument_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are wrong usage, unless a file is called so."""
    words = b"caf\xe9"

    done = subprocess.run(
        [*COMMAND, "rehearse", words],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        timeout=LIMIT_S,
    )

    assert (2, b"") == (done.returncode, done.stdout)
    assert b"'caf\\udce9' is not valid text: write it in UTF-8\n" == done.stderr


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="names of files on Windows are always text")
def test_a_file_whose_name_is_no_text_is_read(tmp_path: Path) -> None:
    """A recording may have any name that the file system takes."""
    name = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    try:
        Path(os.fsdecode(name)).write_bytes(b"RIFF")
    except OSError:
        pytest.skip("this file system takes only UTF-8")

    done = subprocess.run(
        [*COMMAND, "waves", "decompose", name, "--out", tmp_path / "made"],
        cwd=tmp_path,
        env=environment({}),
        capture_output=True,
        timeout=LIMIT_S,
    )

    assert 1 == done.returncode
    assert b"Traceback" not in done.stderr
    assert b"caf" in done.stdout


def test_the_message_of_a_setting_that_is_in_a_file_names_file_and_line(tmp_path: Path) -> None:
    """`config`, `serve` and all that read settings refuse it with exit code 2."""
    (tmp_path / "voices.toml").write_text("[openai]\n\n[openai.calm_soothing]\nspeed = 9\n")

    done = run("config", cwd=tmp_path, env={"RR_VOICES_FILE": "voices.toml"})

    assert (2, "") == (done.returncode, done.stdout)
    assert "voices.toml, line 4: [openai.calm_soothing] speed = 9: must be" in done.stderr


def test_what_a_file_sets_is_visible(tmp_path: Path) -> None:
    """`config` shows each value that was read of agents.toml and voices.toml."""
    (tmp_path / "voices.toml").write_text("[openai.calm_soothing]\nspeed = 0.9\n", "utf-16")

    done = run("config", "--json", cwd=tmp_path, env={"RR_VOICES_FILE": "voices.toml"})

    assert {"openai.calm_soothing.speed": "0.9"} == json.loads(done.stdout)["files"]["voices.toml"]


@pytest.mark.e2e
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
@pytest.mark.parametrize("messages", ["full", "closed by its reader"])
def test_a_result_outlasts_its_messages(messages: str, tmp_path: Path) -> None:
    """Progress that cannot be written stops no command, and takes no result with it."""
    command = [*COMMAND, "rehearse", "--slots", "1", "--json"]
    if messages == "full":
        stderr = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, stderr = os.pipe()
        os.close(reading)
    try:
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment({}),
            stdout=subprocess.PIPE,
            stderr=stderr,
            timeout=LIMIT_S,
            check=False,
        )
    finally:
        os.close(stderr)

    assert 0 == done.returncode
    assert 1 == len(json.loads(done.stdout)["utterances"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here is always full")
def test_a_result_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The line says what is full, of a short result as of a long one."""
    for words in (["signals", "--json"], ["config"]):
        with Path("/dev/full").open("wb") as full:
            done = subprocess.run(
                [*COMMAND, *words],
                cwd=tmp_path,
                env=environment({}),
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        assert (1, "standard output: No space left on device\n") == (done.returncode, done.stderr)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a directory that somebody stands in")
def test_a_directory_that_is_gone_is_named(tmp_path: Path) -> None:
    """The place where a command runs may have been removed, as by a new version put there."""
    place = tmp_path / "gone"
    place.mkdir()
    script = 'rmdir "$PWD" && exec "$@"'

    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *COMMAND, "config"],
        cwd=place,
        env=environment({"PYTHONPATH": str(Path(__file__).parents[1])}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert (2, "") == (done.returncode, done.stdout)
    assert "the working directory: No such file or directory; go to another one\n" == done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a link needs a right on Windows")
def test_settings_behind_a_link_that_leads_nowhere_are_missed(tmp_path: Path) -> None:
    """A server whose secrets are not mounted does not start without its token."""
    (tmp_path / ".env").symlink_to("not mounted")

    done = run("config", cwd=tmp_path)

    assert 2 == done.returncode
    words = "wrong setting: .env: cannot be read (No such file or directory): name a file\n"
    assert words == done.stderr


def test_a_value_cannot_forge_a_line(tmp_path: Path) -> None:
    """What is a line end in Unicode alone ends no line of an error."""
    done = run("config", cwd=tmp_path, env={"RR_HOST": "0.0.0.0\u2028a line of its own"})

    assert 2 == done.returncode
    assert 1 == done.stderr.count("wrong setting")
