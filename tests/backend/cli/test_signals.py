"""The command `signals`: every signal, from the code itself, and who listens to it here."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import strangers
from tests.command import free_port, invoke, run


def quiet(**env: str) -> dict[str, str]:
    """Return an environment in which no server answers."""
    return {"RR_PORT": str(free_port()), **env}


def as_data(cwd: Path, **env: str) -> tuple[int, dict[str, Any], list[str], str]:
    """Return the exit code, the signals by name, who does not tell, and standard error."""
    done = run("signals", "--json", cwd=cwd, env=quiet(PYTHONPATH=str(cwd), **env))
    data = json.loads(done.stdout)
    rows = {row["name"]: row for row in data["signals"]}
    return done.returncode, rows, data["undeclared"], done.stderr


@pytest.mark.e2e
def test_every_signal_is_told_whole(tmp_path: Path) -> None:
    """Meaning, payload with its fields, sender, thread and listeners come from the definition."""
    code, found, undeclared, stderr = as_data(tmp_path)

    assert (0, [], "") == (code, undeclared, stderr)
    assert [
        *("speech_heard", "session_started", "tts_written", "turn_finished", "session_finished"),
        *("event_published", "waves_written", "waves_failed", "mood_read", "files_removed"),
    ] == list(found)
    told = found["turn_finished"]
    assert ("TurnFinished", "workflow", "event loop") == (
        *(told["payload"], told["sender"], told["thread"]),
    )
    assert {
        "session_id": "str",
        "turn_index": "int",
        "spoken_slot_ids": "tuple[int, ...]",
        "finished_at": "datetime.datetime",
    } == told["fields"]
    assert all(row["meaning"] and row["fields"] for row in found.values())


def test_plugins_listen_that_are_on() -> None:
    """Listeners stand in the order in which they are called; those that are off stand apart."""
    env = {"RR_STREAM_WAVES": "false", "RR_SHOW_ENABLED": "false"}

    plain, changed = (
        {row["name"]: row for row in json.loads(done.stdout)["signals"]}
        for done in (invoke("signals", "--json", **quiet(**one)) for one in ({}, env))
    )

    assert (
        ["metrics", "waves", "stream", "show", "recorder"],
        ["mqtt", "osc", "playback", "retention", "nats", "webhook"],
    ) == (*(plain["tts_written"]["listeners"], plain["tts_written"]["off"]),)
    assert (
        ["metrics", "waves", "recorder"],
        ["mqtt", "osc", "playback", "show", "retention", "nats", "webhook"],
    ) == (*(changed["tts_written"]["listeners"], changed["tts_written"]["off"]),)


@pytest.mark.e2e
def test_a_strangers_signal_and_listeners_are_there(tmp_path: Path) -> None:
    """A third party's signal is listed, and its plugin among the listeners, if it tells them."""
    strangers.install(tmp_path, "tides", strangers.TIDES)
    strangers.install(tmp_path, "silent", strangers.SILENT)

    code, found, undeclared, _ = as_data(tmp_path)

    assert (0, ["silent"]) == (code, undeclared)
    assert "tides" in found["tts_written"]["listeners"]
    tide = found["tide_turned"]
    assert ("The tide has turned.", "plugin tides", "tide watch") == (
        *(tide["meaning"], tide["sender"], tide["thread"]),
    )
    assert "float" in tide["fields"]["level_m"]
    assert "NoSuchClass" in tide["fields"]["unreadable"]


@pytest.mark.e2e
def test_a_plugin_that_failed_is_named(tmp_path: Path) -> None:
    """The list is there, and that it may lack something is told on standard error; exit code 1."""
    strangers.install(tmp_path, "broken", strangers.BROKEN)

    code, found, _, stderr = as_data(tmp_path, RR_WAVES_MAX_WORKERS="0")

    assert 1 == code
    assert "waves_written" in found
    assert "plugin broken: RuntimeError: no moon" in stderr.splitlines()
    assert any("plugin waves: RR_WAVES_MAX_WORKERS='0'" in line for line in stderr.splitlines())


@pytest.mark.e2e
def test_the_text_says_the_same_in_80_columns(tmp_path: Path) -> None:
    """Without --json it is a list that a terminal of 80 columns shows whole, in plain letters."""
    strangers.install(tmp_path, "tides", strangers.TIDES)
    strangers.install(tmp_path, "silent", strangers.SILENT)

    done = run("signals", cwd=tmp_path, env=quiet(COLUMNS="80", PYTHONPATH=str(tmp_path)))

    lines = done.stdout.splitlines()
    assert 0 == done.returncode
    assert done.stdout.isascii()
    assert [] == [line for line in lines if len(line) > 80]
    for line in (
        *("tide_turned", "    The tide has turned.", "    sent by: plugin tides"),
        *(
            "    thread: tide watch",
            "    listeners: recorder; off: nats",
            "    payload: TideTurned",
        ),
        *(
            "        level_m: float",
            "    listeners: metrics, stream, show, recorder; off: mqtt, osc, playback,",
        ),
        "silent is on and does not tell what it listens to",
    ):
        assert line in lines
