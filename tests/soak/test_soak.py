"""Minutes of load with a random fault every two seconds: `uv run pytest -m soak`.

RR_SOAK_S (240) is how long it lasts, RR_SOAK_SEED (a new one each time) which faults come in which
order. Everything is real: a server process, sessions over HTTP, embedded voices, worker processes,
signals. What happens to which utterance depends on the machine's timing, so a seed repeats the
order of the faults, not the run.
"""

import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import httpx2
import pytest

from plugins.waves.files import paths, publishing
from tests.backend.serving import READY
from tests.command import Running, free_port
from tests.patience import LIMIT_S
from tests.soak import log
from tests.soak.faults import Faults
from tests.soak.visitors import Visitors, problem_of

UTTERANCES_PER_S = 4.0
FAULT_EVERY_S = 2.0
MAX_WORKERS = 2
QUEUE_MAX_SIZE = 16
JOB_TIMEOUT_S = 5
REST_LIMIT_S = 150.0
"""Above what backfill waits between two looks."""
TICK_S = 0.05
ROOT = Path(__file__).parents[2]
SETTINGS = {
    "RR_MAX_SESSIONS": "32",
    "RR_WAVES_MAX_WORKERS": str(MAX_WORKERS),
    "RR_WAVES_QUEUE_MAX_SIZE": str(QUEUE_MAX_SIZE),
    "RR_WAVES_JOB_TIMEOUT_S": str(JOB_TIMEOUT_S),
}
BACKFILLS = find_spec("plugins.waves.jobs.backfill") is not None
"""Without it an utterance that was dropped or failed stays without waves."""
FOR_GOOD = {"crashed", "quarantined"}
"""Reasons after which a file is not tried again until it changes."""

# read from outside before the fixture clears the settings
DURATION_S = float(os.environ.get("RR_SOAK_S", "240"))
SEED = int(os.environ.get("RR_SOAK_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


class Census:
    """Counts the live worker processes of a server, all the time."""

    def __init__(self, server: Running) -> None:
        self._pid = server.pid
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.most = self.looks = 0

    def workers(self) -> list[int]:
        """Return the ids of the worker processes that live."""
        found = []
        for listing in Path(f"/proc/{self._pid}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(pid) for pid in listing.read_text().split() if _is_worker(pid)]
        return found

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count while the block runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(TICK_S):
            self.looks += 1
            self.most = max(self.most, len(self.workers()))


def _is_worker(pid: str) -> bool:
    """Tell a live worker from speech, the resource tracker and the dead; the dead have no words."""
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="workers are counted in /proc")
def test_nothing_is_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Under load and faults every session is whole, and every good WAV has its waves at rest."""
    port, root, spoilt_list = free_port(), tmp_path / "artifacts", tmp_path / "spoilt"
    url = f"http://127.0.0.1:{port}"
    env = {
        **SETTINGS,
        "RR_PORT": str(port),
        "RR_ARTIFACTS_DIR": str(root),
        "PYTHONPATH": str(ROOT),
    }
    rng = random.Random(SEED)

    with Running("serve", cwd=tmp_path, env=env) as server:
        census = Census(server)
        faults = Faults(root, spoilt_list, census.workers, rng)
        wait_until_ready(server, url)
        with census.counting(), reading(url, root, spoilt_list) as reader:
            visitors = Visitors(url, UTTERANCES_PER_S, rng, faults.hear)
            suffer(visitors, faults)
            announced = utterances(root, faults.deleted)
            rest(server, root, announced, faults)
            report = finish(reader)
        workers_at_rest = len(census.workers())
        code = server.stop()
        story = log.read(server.log)

    good = announced - faults.spoilt
    whole = {p for p in good if publishing.complete(paths.session_targets(Path(p), root))}
    lost = {path: story.reasons.get(path, []) for path in good - whole}
    counts = {
        "seed": SEED,
        "seconds": DURATION_S,
        "load": os.getloadavg()[0],
        "sessions": len(visitors.sessions),
        "utterances": len(announced),
        "good": len(good),
        "good with three waves": len(whole),
        "good without, by reason": Counter(reason for r in lost.values() for reason in set(r)),
        "faults": dict(faults.done),
        "most workers": f"{census.most} in {census.looks} looks",
        "reader": report,
    }
    with capsys.disabled():
        print("\nsoak: " + json.dumps(counts, indent=2))

    assert report["wrong"] == []
    assert report["partial sets at rest"] == 0
    assert [problem for session in visitors.sessions if (problem := problem_of(session))] == []
    assert interrupted(root) == []
    assert census.most <= MAX_WORKERS
    assert workers_at_rest == MAX_WORKERS
    assert code == 0
    assert story.other_errors == []
    check_records_of_utterances(story, announced)
    check_records_of_deaths(story, faults.killed)
    assert [path for path, reasons in lost.items() if not reasons] == [], "lost without a word"
    if BACKFILLS:
        assert {p: r for p, r in lost.items() if not FOR_GOOD & set(r)} == {}
    assert list((root / ".tmp").glob(publishing.PREFIX + "*")) == []
    assert [s for s in faults.deleted if (root / "waves/sessions" / s).exists()] == []


def wait_until_ready(server: Running, url: str) -> None:
    """Wait until the plugin has a worker: the first start on a machine compiles."""
    server.wait_for(READY)
    deadline = monotonic() + LIMIT_S
    with httpx2.Client(base_url=url) as client:
        while client.get("/v1/health/ready").json()["plugins"]["waves"]["state"] != "ok":
            assert monotonic() < deadline, "the workers never came"
            sleep(TICK_S)


@contextmanager
def reading(url: str, root: Path, spoilt_list: Path) -> Iterator[subprocess.Popen[str]]:
    """Run the reader beside the block."""
    command = [sys.executable, "-m", "tests.soak.reader", url, str(root), str(spoilt_list)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as reader:
        try:
            yield reader
        finally:
            reader.kill()


def finish(reader: subprocess.Popen[str]) -> dict[str, object]:
    """Let the reader open everything once more; return its report."""
    out, _ = reader.communicate(timeout=REST_LIMIT_S)
    assert reader.returncode == 0
    report: dict[str, object] = json.loads(out)
    return report


def suffer(visitors: Visitors, faults: Faults) -> None:
    """Let visitors come and faults happen for as long as asked, then let everybody go home."""
    started = monotonic()
    next_fault = started + FAULT_EVERY_S
    while (now := monotonic()) < started + DURATION_S:
        visitors.pace()
        if now >= next_fault:
            next_fault += FAULT_EVERY_S
            faults.inject(visitors)
        faults.undo()
        sleep(TICK_S)
    faults.undo(everything=True)
    visitors.join()
    faults.undo(everything=True)


def utterances(root: Path, deleted: set[str]) -> set[str]:
    """Return the recordings that were announced, from the manifests of the sessions."""
    announced = set()
    for path in (root / "tts/sessions").glob("*/session.json"):
        if path.parent.name not in deleted:
            for utterance in json.loads(path.read_bytes())["utterances"]:
                if utterance["audio_path"]:
                    announced.add(str(root / utterance["audio_path"]))
    return announced


def interrupted(root: Path) -> list[str]:
    """Return the sessions that did not come through all three turns, whoever listened."""
    manifests = [json.loads(p.read_bytes()) for p in (root / "tts/sessions").glob("*/session.json")]
    return [m["session_id"] for m in manifests if m["status"] != "finished"]


def rest(server: Running, root: Path, announced: set[str], faults: Faults) -> None:
    """Wait until every utterance has its outcome, with backfill until every good one has waves."""
    deadline = monotonic() + REST_LIMIT_S
    while monotonic() < deadline:
        story = log.read(list(server.log))
        open_ends = announced - story.ended
        if BACKFILLS:
            open_ends |= {
                path
                for path in announced - faults.spoilt
                if not FOR_GOOD & set(story.reasons.get(path, ()))
                and not publishing.complete(paths.session_targets(Path(path), root))
            }
        if not open_ends:
            return
        sleep(1)


def check_records_of_utterances(story: log.Story, announced: set[str]) -> None:
    """Every utterance's end is told, and each attempt ends in one record."""
    assert announced - story.ended == set()
    for path in announced:
        events = Counter(story.of[path])
        ends = events[log.FINISHED] + events[log.FAILED]
        assert ends == events[log.STARTED], (path, events)
        if not BACKFILLS:
            assert ends + events[log.DROPPED] == 1, (path, events)


def check_records_of_deaths(story: log.Story, killed: list[int]) -> None:
    """A killed worker is told of once, by its own record or by that of the job it died in."""
    assert {pid: n for pid, n in story.deaths.items() if n > 1} == {}
    silent = [pid for pid in killed if pid not in story.deaths]
    reasons = Counter(reason for each in story.reasons.values() for reason in each)
    assert len(silent) <= reasons["crashed"] + reasons["killed"] + reasons["timeout"]
