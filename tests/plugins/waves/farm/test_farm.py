"""Jobs that other machines do: a real NATS server, real worker processes."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import nats
import pytest
from structlog.testing import capture_logs

from backend.storage import Artifacts
from plugins.waves import worker
from plugins.waves.farm import results, wire
from plugins.waves.jobs.water import Water
from plugins.waves.pool import Pool
from plugins.waves.settings import WavesSettings
from tests.nats_server import NatsServer, nats_server
from tests.patience import until
from tests.plugins.waves.farm.farms import Asked, check_used, machine_here, recording, serving
from tests.plugins.waves.farm.tasks import CRASH


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    """Run a NATS server with a machine that has two workers."""
    with nats_server(tmp_path_factory.mktemp("nats")) as one, machine_here(one.url, workers=2):
        yield one


@pytest.fixture(scope="module")
def pool(server: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Run a pool that uses the farm."""
    with serving(server.url, tmp_path_factory.mktemp("server")) as one:
        yield one


async def stored(url: str) -> int:
    """Return how many messages all streams keep."""
    client = await nats.connect(url)
    infos = await client.jetstream().streams_info()
    await client.close()
    return sum(one.state.messages for one in infos)


@pytest.mark.parametrize("seconds", [0.5, 60.0], ids=["in a message", "in parts"])
def test_the_waves_are_those_of_this_machine(
    server: NatsServer,
    pool: Pool,
    tmp_path: Path,
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another machine makes the same files as a worker here, and reports the same figures."""
    monkeypatch.setenv("RR_WAVES_FARADAY_NOTCH_HZ", "20.1,0,0,0,0,0")
    monkeypatch.setenv("RR_WAVES_FARADAY_CEILING_DB", "-1,-3.3,-1,-1,-1,-1")
    profiles = ("v3", "slots", "faraday")
    there = check_used(tmp_path, pool, profiles, seconds)
    here = Asked(Path(there.path), profiles)
    here.directory = tmp_path / "here"

    until(lambda: asyncio.run(stored(server.url)) == 0, "parts that are removed")
    own = worker.decompose(here.begin(0))
    report = there.outcome().report.data
    names = sorted(file.name for file in here.directory.iterdir())
    assert 6 == len(names)
    for name in names:
        assert (there.directory / name).read_bytes() == (here.directory / name).read_bytes()
    for key in ("frames", "duration_s", "sample_rate", "warnings"):
        assert own.data[key] == report[key]
    for one, other in zip(own.data["sets"], report["sets"], strict=True):  # type: ignore[call-overload]
        assert one | {"files": ()} == other | {"files": ()}
        assert [rest for _, *rest in one["files"]] == [rest for _, *rest in other["files"]]


@pytest.mark.parametrize("fault", ["no JSON", "unreadable"])
def test_what_cannot_be_sent_is_done_here(
    server: NatsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """A job that no message can hold, and a fault while it is read: said once, and none fails."""
    if fault == "unreadable":
        monkeypatch.setattr(results, "frames_of", lambda _: 1 / 0)
    else:
        monkeypatch.setattr(WavesSettings, "of_profile", lambda *_: {"place": Path()})
    asked = [Asked(recording(tmp_path / f"{name}.wav")) for name in "abc"]
    with capture_logs() as logged, serving(server.url, tmp_path / "s") as pool:
        for one in asked:
            pool.submit(one)

        assert [""] * 3 == [one.made() for one in asked]
        until(lambda: "is not used" in str(logged), "a word about the farm")

    (said,) = [line for line in logged if "is not used" in line["event"]]
    assert said["problem"].startswith("a job cannot be sent: ")
    assert [] == [line for line in logged if line["log_level"] == "error"]


def test_a_machine_says_when_it_is_connected(tmp_path: Path) -> None:
    """In a line with server, workers and version; and once when it is no longer, or each job."""
    shown: list[str] = []
    done = "a job of the farm is done"
    with (
        nats_server(tmp_path) as server,
        capture_logs() as logged,
        machine_here(server.url, workers=2, show=shown.append),
    ):
        with serving(server.url, tmp_path / "s") as pool:
            check_used(tmp_path, pool)
        until(lambda: done in str(logged), "a word about the job")
        logged_jobs = [one for one in logged if one["event"] == done]
        logged.clear()
        server.kill()
        until(lambda: "no connection to the farm" in str(logged), "a word about the loss")

    assert {"ok"} == {one["reason"] for one in logged_jobs}
    assert "info" == logged_jobs[0]["log_level"]
    (line,) = shown
    assert line.startswith(f"connected to {server.url}: ")
    assert "workers: 2" in line
    assert wire.version_name() in line


def test_the_water_of_a_wave_is_computed_here(pool: Pool, tmp_path: Path) -> None:
    """The workers of this machine do that also while others make the waves."""
    artifacts = Artifacts(tmp_path)
    wave = artifacts.turn("waves", "s", 1) / "a_v3_wave1.wav"
    recording(wave)
    until(lambda: pool.is_elsewhere and bool(pool.worker_pids), "a farm, and a worker here")

    motion = asyncio.run(Water(artifacts, pool).motion(artifacts.relative(wave)))

    assert motion
    assert pool.is_elsewhere


def test_what_is_no_recording_is_refused_as_here(pool: Pool, tmp_path: Path) -> None:
    """The reader of the other machine refuses it; the identity is that of the file here."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"no recording at all")
    asked = Asked(path)

    pool.submit(asked)

    outcome = asked.outcome()
    assert "invalid_audio" == outcome.reason
    assert "RIFF" in outcome.message
    assert worker.identity(path).items() <= dict(outcome.report.data).items()


def test_a_recording_that_crashes_workers_is_set_aside(pool: Pool, tmp_path: Path) -> None:
    """A machine loses two workers to it, and says so; it is not sent to the others after that."""
    path = recording(tmp_path / "a.wav", CRASH)
    asked, again = Asked(path), Asked(path)

    pool.submit(asked)
    outcome = asked.outcome()
    pool.submit(again)

    assert "crashed" == outcome.reason
    assert "died 2 times" in outcome.message
    assert pool.is_quarantined(str(path))
    assert "quarantined" == again.outcome().reason


def test_a_recording_that_is_not_there_is_refused(pool: Pool, tmp_path: Path) -> None:
    """Nothing is sent then."""
    asked = Asked(tmp_path / "a.wav")

    pool.submit(asked)

    assert "invalid_audio" == asked.outcome().reason


def test_without_a_farm_this_machine_makes_the_waves(tmp_path: Path) -> None:
    """A NATS server that is not there is said once; jobs are done here, and there once it is."""
    server = NatsServer(tmp_path)
    first, third = (Asked(recording(tmp_path / f"{name}.wav")) for name in "ab")
    with capture_logs() as logged, serving(server.url, tmp_path / "s", wait=False) as pool:
        pool.submit(first)
        assert "" == first.made()
        until(lambda: "is not used" in str(logged), "a word about the farm")
        with server, machine_here(server.url):
            check_used(tmp_path, pool)
        until(lambda: not pool.is_elsewhere, "a farm that is away")
        pool.submit(third)
        assert "" == third.made()

    said = [line["event"] for line in logged if "farm" in line["event"] and line.get("problem")]
    assert ["the farm is not used; this machine makes the waves"] * 2 == [
        line for line in said if "not used" in line
    ]


def test_another_algorithm_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that would make other waves gets no job; both sides say who has which version."""
    with ExitStack() as stack:
        server, logged = (
            stack.enter_context(nats_server(tmp_path)),
            stack.enter_context(capture_logs()),
        )
        with monkeypatch.context() as patch:
            patch.setattr(wire, "algorithm", lambda: "0123456789ab")
            stack.enter_context(machine_here(server.url))
        with serving(server.url, tmp_path / "s", wait=False) as pool:
            asked = Asked(recording(tmp_path / "a.wav"))
            pool.submit(asked)
            assert "" == asked.made()
            until(lambda: sum("other waves" in line["event"] for line in logged) == 2, "a refusal")

    refusals = [line for line in logged if "other waves" in line["event"]]
    assert {"server", "worker"} == {line["role"] for line in refusals}
    assert all(
        "0123456789ab" in f"{line['its_version']} {line['own_version']}" for line in refusals
    )
