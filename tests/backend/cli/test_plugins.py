"""The command `plugins`: everything that is found, also where it is broken or off."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import strangers
from tests.backend.serving import READY, Serving
from tests.command import free_port, invoke, run


def as_data(cwd: Path, **env: str) -> tuple[int, dict[str, Any], str]:
    """Return the exit code, the plugins by name and what came to standard error."""
    env = {"RR_PORT": str(free_port()), "PYTHONPATH": str(cwd), **env}
    done = run("plugins", "--json", cwd=cwd, env=env)
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)}, done.stderr


def test_ours_are_shown_with_all_they_have() -> None:
    """Each plugin says whether it is on and why, its package, signals, routes and commands."""
    done = invoke("plugins", "--json", RR_SHOW_ENABLED="false", RR_PORT=str(free_port()))

    found = {row["name"]: row for row in json.loads(done.stdout)}
    assert 0 == done.exit_code
    names = "metrics waves stream console mood mqtt osc playback show retention nats webhook"
    assert f"{names} recorder" == " ".join(found)
    assert {"POST /v1/playback/stop", "POST /v1/playback/soundcheck"} <= set(
        found["playback"]["routes"]
    )
    waves, show = found["waves"], found["show"]
    assert (True, "RR_WAVES_ENABLED=true", "default") == (
        *(waves["enabled"], waves["setting"], waves["source"]),
    )
    assert (["tts_written"], ["waves_written", "waves_failed"]) == (
        *(waves["listens"], waves["sends"]),
    )
    assert {"waves decompose", "waves backfill", "waves water", "waves worker"} == set(
        waves["commands"]
    )
    assert "not running" == waves["state"]
    assert "no server answers" in waves["reason"]
    assert (False, "RR_SHOW_ENABLED=false", "environment", "disabled") == (
        *(show["enabled"], show["setting"], show["source"], show["state"]),
    )
    assert "WEBSOCKET /v1/events" in show["routes"]
    assert {"reflective-resonance"} == {row["distribution"] for row in found.values()}


@pytest.mark.e2e
def test_a_stranger_is_shown_like_ours(tmp_path: Path) -> None:
    """A third party's plugin is there with its own package and version."""
    strangers.install(tmp_path, "tides", strangers.TIDES, "2.5")

    code, found, _ = as_data(tmp_path)

    tides = found["tides"]
    assert (0, "tides", "2.5", True) == (
        *(code, tides["distribution"], tides["version"], tides["enabled"]),
    )
    assert ["POST /v1/tide", "GET /v1/tide"] == tides["routes"]
    assert ["tide table", "tide moon"] == tides["commands"]
    assert (["tts_written"], ["tide_turned"]) == (tides["listens"], tides["sends"])


@pytest.mark.e2e
def test_a_broken_plugin_is_shown_with_its_reason(tmp_path: Path) -> None:
    """One that cannot be loaded, set or imported as a whole is in the list; the exit code is 1."""
    strangers.install(tmp_path, "tides", strangers.TIDES)
    strangers.install(tmp_path, "broken", strangers.BROKEN, "0.3")
    strangers.install(tmp_path, "half", strangers.HALF_BROKEN)

    code, found, _ = as_data(tmp_path, RR_TIDES_HEIGHT_M="high")

    assert 1 == code
    broken, tides, half = found["broken"], found["tides"], found["half"]
    assert ("failed", "0.3", None) == (broken["state"], broken["version"], broken["enabled"])
    assert "RuntimeError: no moon" == broken["reason"]
    assert ("failed", None) == (tides["state"], tides["enabled"])
    assert "RR_TIDES_HEIGHT_M='high'" in tides["reason"]
    assert ["GET /v1/tide", "POST /v1/tide"] == sorted(tides["routes"])
    assert ("not running", None) == (half["state"], half["listens"])
    assert ["no_router"] == [text.split("'")[-2] for text in half["problems"]]
    assert found["waves"]["enabled"]


@pytest.mark.e2e
def test_two_plugins_of_one_name_are_both_shown(tmp_path: Path) -> None:
    """The one that is not started says so."""
    strangers.install(tmp_path, "tides", strangers.TIDES)
    strangers.install(tmp_path, "more", strangers.TIDES.replace("tide_turned", "moon_rose"))
    env = {"PYTHONPATH": str(tmp_path), "RR_PORT": str(free_port())}

    done = run("plugins", "--json", cwd=tmp_path, env=env)

    twins = [row for row in json.loads(done.stdout) if row["name"] == "tides"]
    assert (1, 2) == (done.returncode, len(twins))
    assert "the packages more 1.0 and tides 1.0 have a plugin of this name" in twins[1]["reason"]


@pytest.mark.e2e
def test_the_server_that_runs_says_how_they_are(tmp_path: Path) -> None:
    """With a server the states are its own, also where it asks for a token; a wrong one is told."""
    env = {"RR_WAVES_ENABLED": "false", "RR_API_TOKEN": "a-long-token", "RR_OSC_ENABLED": "true"}
    env["RR_OSC_TARGETS"] = "no-such-host.invalid:9000"
    with Serving(tmp_path, env) as serving:
        serving.wait_for(READY)
        env["RR_PORT"] = str(serving.port)
        _, found, _ = as_data(tmp_path, **env)
        _, refused, _ = as_data(tmp_path, **{**env, "RR_API_TOKEN": "another-token"})

    assert ("ok", "disabled") == (found["show"]["state"], found["waves"]["state"])
    assert "degraded" == found["osc"]["state"]
    assert "no-such-host.invalid" in found["osc"]["reason"]
    assert "not running" == refused["show"]["state"]
    assert "status 401" in refused["show"]["reason"]


@pytest.mark.e2e
def test_a_plugin_that_only_the_server_has_on_is_shown_on(tmp_path: Path) -> None:
    """The server counts for `plugins` and `signals`; the setting here is shown as such."""
    with Serving(tmp_path, {"RR_MQTT_ENABLED": "true", "RR_SHOW_ENABLED": "false"}) as serving:
        serving.wait_for(READY)
        strangers.install(tmp_path, "tides", strangers.TIDES)
        env = {"RR_PORT": str(serving.port), "PYTHONPATH": str(tmp_path)}
        wrong = {"RR_MQTT_URL": "nowhere"}
        shown = run("plugins", cwd=tmp_path, env=env).stdout
        found = as_data(tmp_path, **env)[1]
        unread = as_data(tmp_path, **env, **wrong)[1]["mqtt"]
        heard = json.loads(run("signals", "--json", cwd=tmp_path, env=env).stdout)["signals"]

    line = "on in the server that runs; the setting here is RR_MQTT_ENABLED=false (default)"
    assert f"mqtt: {line}" in shown.splitlines()
    assert (True, "disabled") == (found["mqtt"]["enabled"], found["show"]["state"])
    assert "start the server again" in found["tides"]["reason"]
    assert (True, True) == (unread["enabled"], "RR_MQTT_URL" in unread["problems"][0])
    listeners = next(row for row in heard if row["name"] == "tts_written")
    assert ("mqtt" in listeners["listeners"], "show" in listeners["off"]) == (True, True)


@pytest.mark.e2e
def test_the_text_says_the_same_in_80_columns(tmp_path: Path) -> None:
    """Without --json it is a list that a terminal of 80 columns shows whole, in plain letters."""
    strangers.install(tmp_path, "tides", strangers.TIDES)
    strangers.install(tmp_path, "silent", strangers.SILENT)
    strangers.install(tmp_path, "broken", strangers.BROKEN)
    env = {"COLUMNS": "80", "PYTHONPATH": str(tmp_path), "RR_PORT": str(free_port())}

    done = run("plugins", cwd=tmp_path, env=env)

    lines = done.stdout.splitlines()
    assert 1 == done.returncode
    assert done.stdout.isascii()
    assert [] == [line for line in lines if len(line) > 80]
    for line in (
        *("tides: on, by RR_TIDES_ENABLED=true (default)", "    package: tides 1.0"),
        *(
            "    listens to: tts_written",
            "    sends: tide_turned",
            "    listens to: it does not tell",
        ),
        *("    routes: POST /v1/tide, GET /v1/tide", "    commands: tide table, tide moon"),
        *("broken: failed", "    state: failed: RuntimeError: no moon"),
    ):
        assert line in lines
