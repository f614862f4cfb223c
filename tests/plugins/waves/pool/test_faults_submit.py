"""Too many jobs, the same one twice, at the wrong time, or for a file that changes."""

import threading
from pathlib import Path

import pytest

from plugins.waves import worker
from plugins.waves.pool import Pool
from tests.patience import LIMIT_S
from tests.plugins.waves.pool import tasks as jobs
from tests.plugins.waves.pool.pools import Asked, GateMaker, running

pytestmark = pytest.mark.faults


def test_five_hundred_at_once(gate: GateMaker) -> None:
    """F15: of 500 in one tick queue_max_size + max_workers are accepted, each other is told why."""
    told, door = gate("told"), gate("door")
    several = [Asked(f"{n}.wav", "tell_and", told.path, "pass_gate", door.path) for n in range(500)]

    with running(lanes=2, queue_max_size=128) as pool:
        accepted = [pool.submit(job) for job in several]
        refusals = [job.outcome() for job, ok in zip(several, accepted, strict=True) if not ok]

        assert accepted.count(True) == 128 + 2
        assert {refusal.reason for refusal in refusals} == {"queue_full"}
        assert pool.stop(0) == 128 + 2
    for job in several:
        job.outcome()


def test_the_same_path_twice(tmp_path: Path, gate: GateMaker) -> None:
    """F16: a path that waits or runs already, live or as backfill, is done once; both are told."""
    log, told, door = tmp_path / "log", gate("told"), gate("door")
    blocker = Asked("blocker.wav", "tell_and", told.path, "pass_gate", door.path)
    same = [Asked("same.wav", "append", str(log), "done") for _ in range(3)]

    with running(lanes=1) as pool:
        pool.submit(blocker)
        told.line()
        also_running = Asked("blocker.wav", "echo", "not this")
        pool.submit(also_running)
        for job, live in zip(same, (True, False, True), strict=True):
            pool.submit(job, live=live)
        door.open()

        assert {job.value() for job in same} == {"done"}
        assert {blocker.value(), also_running.value()} == {"go"}
    assert log.read_text() == "done\n"


def test_asked_before_start_after_stop_and_from_another_thread() -> None:
    """F17: a pool that does not run refuses; one that runs may be asked from any thread."""
    early, late, aside = (Asked(f"{n}.wav", "echo", str(n)) for n in range(3))
    pool = Pool(jobs.work, lanes=1, queue_max_size=1, timeout_s=LIMIT_S)

    assert not pool.submit(early)
    pool.start()
    thread = threading.Thread(target=pool.submit, args=(aside,))
    thread.start()
    thread.join(LIMIT_S)
    assert aside.value() == "2"
    pool.stop()
    assert not pool.submit(late)

    assert [early.outcome().reason, late.outcome().reason] == ["stopped", "stopped"]


@pytest.mark.e2e
@pytest.mark.parametrize("case", ["deleted", "replaced", "growing"])
def test_a_source_that_changes_while_it_waits(tmp_path: Path, case: str) -> None:
    """F19: a recording that went, was replaced or still grows is refused, and leaves no file."""
    source = tmp_path / "tts" / "a.wav"
    source.parent.mkdir()
    header = b"RIFF" + (36 + 16000).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    layout = (
        b"\1\0\1\0" + (8000).to_bytes(4, "little") + (16000).to_bytes(4, "little") + b"\2\0\20\0"
    )
    source.write_bytes(header + layout + b"data" + (16000).to_bytes(4, "little") + bytes(16000))
    order = worker.Order(
        str(source),
        str(tmp_path / "waves"),
        str(tmp_path / ".tmp"),
        str(tmp_path),
        600,
        "librosa",
    )

    class Waiting(Asked):
        def begin(self, queued_ms: float) -> object:
            if case == "deleted":
                source.unlink()
            elif case == "replaced":
                source.write_text("something else")
            else:
                source.write_bytes(source.read_bytes()[:5000])
            return order

    job = Waiting(source)
    with running(lanes=1, task=worker.decompose) as pool:
        pool.submit(job)
        outcome = job.outcome()

    expected = {"deleted": "does not exist", "replaced": "RIFF", "growing": "bytes"}
    assert outcome.reason == "invalid_audio"
    assert expected[case] in outcome.message
    assert not (tmp_path / "waves").exists()
