"""`reflective-resonance simulate`: who comes, what is reported, and whom it leaves alone."""

import json
import os
import signal
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from backend.cli.simulation import Plan, picture, report, show
from backend.cli.simulation.day import Measured, Sample
from backend.cli.simulation.report import percentiles, retention
from tests.backend.serving import READY, Serving
from tests.command import COMMAND, environment, free_port, invoke, run
from tests.patience import LIMIT_S, until

PLAN = Plan(visitors=40, per_hour=20, hours=8, speed=100, seed=1)
BUSY = ("--per-hour", "300", "--hours", "0.02", "--seed", "3")
"""Six visitors or so, within a second."""
NEVER = {"RR_RETENTION_ENABLED": "true"}
EMPTY = {"tts": 0, "waves": 0}


def sample(at_s: float, used: dict[str, int], files: int = 0, freed: int = 0) -> Sample:
    """Return figures as the server answers them, free of everything else."""
    now = {
        "gauges": {"retention.freed_bytes": freed, "show.dropped": at_s > 0},
        "disk": {"usedBytes": used, "usedFiles": {"waves": files}, "freeBytes": 10**9},
        "memoryBytes": {"server": int(1e8 + at_s), "children": 10**8},
    }
    return Sample(at_s, now, 8 if at_s else 0)


def measured(**more: Any) -> Measured:
    """Return two sessions of four utterances, 1 MB of speech and 2 MB of waves each."""
    mb = 10**6
    spans = {
        "place": [(1, 0.001), (2, 4.0)],
        "first_speech": [(2, 0.5), (3, 0.7)],
        "session": [(10, 9.0), (11, 9.0)],
        "waves": [(12, 2.0)],
    }
    last = sample(12, {"tts": 8 * mb, "waves": 16 * mb}, 26)
    given: dict[str, Any] = {
        "arrived": [1.0, 1.5],
        "spans": spans,
        "samples": [sample(0, EMPTY), last],
        "sessions": 2,
        "utterances": 8,
        "waves": 8,
        "took_s": 288.0,
    }
    return Measured(**{**given, **more})


def test_visitors_come_at_random_as_often_as_asked() -> None:
    """Their number is that of a Poisson process, none comes before or after the opening hours."""
    days = [Plan(40, 20, 8, 100, seed).arrivals() for seed in range(200)]

    numbers = [len(day) for day in days]
    assert 157 < statistics.mean(numbers) < 163  # 160 +- three deviations of the mean
    assert 110 < statistics.variance(numbers) < 220
    assert all(0 < at_s < 288 for day in days for at_s, _ in day)
    assert all(day == sorted(day, key=lambda arrival: arrival[0]) for day in days)


def test_a_seed_makes_the_day_repeatable_at_any_speed() -> None:
    """The same visitors come with the same questions, only sooner."""
    slow = Plan(40, 20, 8, 1, 1).arrivals()

    assert PLAN.arrivals() == PLAN.arrivals()
    assert [question for _, question in slow] == [question for _, question in PLAN.arrivals()]
    assert pytest.approx([at_s / 100 for at_s, _ in slow]) == [at_s for at_s, _ in PLAN.arrivals()]
    assert len({question for _, question in slow}) > 20


def test_the_disk_is_scaled_to_a_day() -> None:
    """160 visitors of 4 utterances, 1 MB of speech and 2 MB of waves each."""
    data = report(PLAN, measured(), NEVER)

    assert {"speech": 8e6, "waves": 16e6, "removed": 0} == data["bytes_written"]
    assert {"speech": 640e6, "waves": 1280e6, "removed": 0, "total": 1920e6} == data["bytes_a_day"]
    assert pytest.approx(1e9 / 1920e6 * 8 * 3600) == data["disk_full_after_s"]


def test_more_waves_of_an_utterance_do_not_make_a_day_smaller() -> None:
    """With five files for each utterance the day has the bytes that they take."""
    five = [sample(0, EMPTY), sample(12, {"tts": 8_000_000, "waves": 16_000_000}, 42)]

    assert 1280e6 == report(PLAN, measured(samples=five), NEVER)["bytes_a_day"]["waves"]


def test_what_is_not_done_yet_does_not_make_a_day_smaller() -> None:
    """Waves of half of the utterances, and half removed, are scaled by what they belong to."""
    half = [sample(0, EMPTY), sample(12, {"tts": 4_000_000, "waves": 8_000_000}, 14, 4_000_000)]

    data = report(PLAN, measured(samples=half, waves=4, ended_early="interrupted"), NEVER)

    expected = {"speech": 320e6, "waves": 1280e6, "removed": 320e6, "total": 1920e6}
    assert expected == data["bytes_a_day"]
    assert not data["ok"]


def test_the_speed_that_was_reached_is_told() -> None:
    """A day that took twice as long as asked for, and one that was ended, are not called 100."""
    slow = report(PLAN, measured(took_s=576.0), NEVER)
    ended = report(PLAN, measured(took_s=3.0, ended_early="interrupted"), NEVER)

    assert 50 == slow["speed_reached"]
    assert 50 == ended["speed_reached"]  # the last came after 1.5 s
    assert 1 == slow["visitors_that_waited"]


def test_what_was_dropped_is_a_problem() -> None:
    """A gauge that counts what is dropped is named if it rose."""
    data = report(PLAN, measured(), NEVER)

    assert {"show.dropped": 1} == data["dropped"]
    assert ["1 times: show.dropped"] == data["problems"]


def test_percentiles_are_values_that_were_measured() -> None:
    """The nearest rank: no value is made up between two."""
    values = [float(number) for number in range(1, 101)]

    found = percentiles(values[::-1])

    assert {"n": 100, "p50": 50, "p95": 95, "p99": 99, "most": 100} == found
    assert {"n": 1, "p50": 7, "p95": 7, "p99": 7, "most": 7} == percentiles([7.0])


@pytest.mark.parametrize(
    ("limits", "after_s", "because"),
    [
        ({"RR_RETENTION_ENABLED": "false", "RR_RETENTION_TTS_MAX_MB": "1"}, None, "never: RR_RET"),
        ({"RR_RETENTION_TTS_MAX_MB": "0"}, None, "never: no limit is set"),
        ({"RR_RETENTION_TTS_TTL_MIN": "10"}, 600, "RR_RETENTION_TTS_TTL_MIN=10"),
        ({"RR_RETENTION_WAVES_TTL_H": "48"}, 172_800, "RR_RETENTION_WAVES_TTL_H=48"),
        ({"RR_RETENTION_TTS_MAX_MB": "1600"}, 2 * 86_400 + 4 * 3600, "RR_RETENTION_TTS_MAX_MB"),
        ({"RR_RETENTION_WAVES_KEEP_LAST": "40"}, 7200, "RR_RETENTION_WAVES_KEEP_LAST=40"),
        (
            {"RR_RETENTION_WAVES_MAX_MB": "1280", "RR_RETENTION_TTS_KEEP_LAST": "320"},
            86_400,
            "RR_RETENTION_WAVES_MAX_MB",
        ),
    ],
)
def test_retention_begins_with_the_first_limit(
    limits: dict[str, str], after_s: float | None, because: str
) -> None:
    """By age after that age, by size and number after so many opening hours."""
    a_day = {"speech": 640 * 10**6, "waves": 1280 * 10**6}

    found = retention({**NEVER, **limits}, a_day, PLAN)

    assert after_s == found["begins_after_s"]
    assert found["because"].startswith(because)


@pytest.mark.parametrize("visited", [True, False])
def test_the_picture_is_an_image_of_the_day(visited: bool) -> None:
    """It is well-formed, small, for light and dark, also of a day on which nobody came."""
    nobody = {"arrived": [], "spans": {}, "sessions": 0, "utterances": 0, "waves": 0}
    data = report(PLAN, measured(**({} if visited else nobody)), NEVER)

    text = picture(data)

    root = ElementTree.fromstring(text)
    assert "{http://www.w3.org/2000/svg}svg" == root.tag
    words = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert f"{2 * visited} visitors in 8 h, at speed 100 (asked for 100)" in words
    assert {"0:00", "8:00", "visitors that came", "sessions at once"} <= {*words}
    assert "nan" not in text
    assert '"M"' not in text
    assert "prefers-color-scheme: dark" in text
    assert len(text) < 20_000


def test_the_parts_of_the_day_count_everybody_once() -> None:
    """Arrivals and sessions stand in the part of the day in which they were."""
    rows = report(PLAN, measured(arrived=[1.0, 10.0]), NEVER)["day"]

    assert [1, 0, 0, 1, 0] == [row["arrived"] for row in rows[:5]]
    assert [2, 2, 2, 0] == [row["running"] for row in rows[:4]]  # at the end of each 3 s
    assert 0.7 == max(row["first_speech_p95_s"] or 0 for row in rows)


def test_the_tables_have_every_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """People read stages, disk, memory, speed, refusals and retention."""
    show(report(PLAN, measured(refused={503: 7}), NEVER))

    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "first speech 500 ms 700 ms 700 ms 700 ms 2" in shown
    assert "speech 8.0 MB 640.0 MB" in shown
    assert "server 100.0 MB 100.0 MB 100.0 MB" in shown
    assert {"refused: 7 times 503", "dropped: 1 times show.dropped"} <= {*shown}
    assert "retention would begin never: no limit is set" in shown
    assert any(line.startswith("this speed was too fast: 1") for line in shown)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--visitors", "0"),
        ("--hours", "25"),
        ("--speed", "fast"),
        ("--picture", "no-such-folder/day.svg"),
        ("--url", "http://192.0.2.1:8000"),
        ("--url", "show.example"),
    ],
)
def test_wrong_usage_and_other_machines_are_refused(wrong: tuple[str, str]) -> None:
    """Exit code 2, before anything is sent; a server of others needs --allow-remote."""
    done = invoke("simulate", *wrong)

    assert (2, "") == (done.exit_code, done.stdout)
    assert ("--allow-remote" in done.stderr) == (wrong[0] == "--url")


def test_without_a_server_it_says_so() -> None:
    """One line says that none answers, and how to start one."""
    done = invoke("simulate", "--url", f"http://127.0.0.1:{free_port()}")

    assert (1, "") == (done.exit_code, done.stdout)
    assert "no server answers at http://127.0.0.1" in done.stderr


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Return a server with waves, for one session at once."""
    with Serving(tmp_path_factory.mktemp("server"), {"RR_MAX_SESSIONS": "1"}) as serving:
        serving.wait_for(READY)
        yield serving


def simulation(server: Serving, cwd: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a simulation; what it prints can be read."""
    return subprocess.Popen(
        [*COMMAND, "simulate", "--json", *arguments],
        cwd=cwd,
        env=environment({"RR_PORT": str(server.port)}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.e2e
def test_the_counts_are_those_of_the_disk(tmp_path: Path) -> None:
    """Sessions, utterances, waves and bytes are exactly what the server has on its disk."""
    env = {"RR_MAX_SESSIONS": "1"}
    with Serving(tmp_path, env) as server:
        server.wait_for(READY)
        options = (*BUSY, "--json", "--picture", "day.svg")

        done = run("simulate", *options, cwd=tmp_path, env={"RR_PORT": str(server.port)})

    data = json.loads(done.stdout)
    files = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    sizes = {
        kind: sum(p.stat().st_size for p in files if tree == p.relative_to(tmp_path).parts[1])
        for kind, tree in (("speech", "tts"), ("waves", "waves"))
    }
    assert (0, True) == (done.returncode, data["ok"]), done.stderr
    assert data["visitors"] == data["sessions"] == len(_sessions(tmp_path)) > 1
    assert data["utterances"] == len([p for p in files if "tts" in p.parts and p.suffix == ".wav"])
    assert data["with_waves"] + data["with_waves_later"] == data["utterances"]
    assert 3 * data["utterances"] == len([p for p in files if "_wave" in p.name])
    assert sizes == {kind: data["bytes_written"][kind] for kind in sizes}
    assert data["refused"]["503"] >= 1  # one session at once, and all were heard
    assert data["speed_reached"] < 100
    assert data["seconds"]["waves"]["n"] == data["with_waves"]
    assert data["memory_bytes"]["children"]["most"] > 10e6
    ElementTree.parse(tmp_path / "day.svg")


@pytest.mark.e2e
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child")
def test_ctrl_c_reports_what_was_measured_so_far(server: Serving, tmp_path: Path) -> None:
    """It ends with 130, and standard output holds the report of the first visitors."""
    before = len(_sessions(Path(server.process.cwd())))
    with simulation(
        server, tmp_path, "--per-hour", "3000", "--speed", "1", "--seed", "1"
    ) as process:
        until(lambda: len(_sessions(Path(server.process.cwd()))) > before + 1, "visitors came")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=LIMIT_S)

    data = json.loads(out)
    assert (130, "interrupted") == (process.returncode, data["ended_early"])
    assert data["sessions"] >= 1
    assert 0 < data["speed_reached"] < 2
    assert "interrupted: the report is about the part of the day until then" in said
    assert "Traceback" not in said


@pytest.mark.e2e
def test_a_server_that_goes_away_ends_the_day(tmp_path: Path) -> None:
    """What was measured is reported, the reason is one line, and the exit code is 1."""
    with Serving(tmp_path) as server:
        server.wait_for(READY)
        with simulation(server, tmp_path, "--per-hour", "3000", "--speed", "1") as process:
            until(lambda: len(_sessions(tmp_path)) > 1, "visitors came")
            server.process.kill()
            out, said = process.communicate(timeout=LIMIT_S)

    assert 1 == process.returncode
    assert json.loads(out)["visitors"] >= 1
    assert "the server answers no more (" in said
    assert "Traceback" not in said


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("env", "costly"),
    [
        ({"OPENAI_API_KEY": "sk-of-nobody"}, "gpt-5.2"),
        (
            {"RR_SPEECH_ENGINE": "openai", "RR_SPEECH_OPENAI_URL": "http://127.0.0.1:9"},
            "the voice openai",
        ),
    ],
)
def test_agents_and_voices_that_cost_money_are_refused(
    env: dict[str, str], costly: str, tmp_path: Path
) -> None:
    """No visitor comes to agents that are not rehearsed, unless that is allowed."""
    with Serving(tmp_path, env) as server:
        server.wait_for(READY)
        done = run("simulate", *BUSY, cwd=tmp_path, env={"RR_PORT": str(server.port)})

    assert (2, "") == (done.returncode, done.stdout)
    assert costly in done.stderr
    assert "--allow-costs" in done.stderr
    assert [] == _sessions(tmp_path)


@pytest.mark.e2e
def test_without_the_plugins_that_measure_it_does_not_begin(tmp_path: Path) -> None:
    """The one that does not run is named."""
    with Serving(tmp_path, {"RR_METRICS_ENABLED": "false"}) as server:
        server.wait_for(READY)
        done = run("simulate", *BUSY, cwd=tmp_path, env={"RR_PORT": str(server.port)})

    assert (1, "") == (done.returncode, done.stdout)
    assert "the plugin metrics of the server does not run" in done.stderr


def _sessions(folder: Path) -> list[Path]:
    return list((folder / "artifacts" / "tts" / "sessions").glob("*"))
