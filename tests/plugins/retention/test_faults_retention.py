"""F26 with the real plugin: a session that goes while its waves are made, read or served."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest

from backend.storage import Artifacts
from plugins.waves.jobs import record
from plugins.waves.signals import WavesFailed, WavesWritten
from tests.live import LiveServer, chat
from tests.patience import until
from tests.plugins.retention.servers import add_newer, gone, serving, until_unlinked
from tests.plugins.retention.stores import stored
from tests.plugins.waves.speeches import speak
from tests.test_acceptance import Watch, stopped_workers

pytestmark = pytest.mark.e2e

BIG = 32 * 2**20
"""More than all buffers between a disk and a client together."""
LIMITS: tuple[dict[str, Any], ...] = (
    {"tts_keep_last": "5"},
    {"waves_keep_last": "5", "tts_keep_last": "5"},
)
NEWER = [f"newer-{n}" for n in range(1, 6)]


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Return what the bus tells of utterances."""
    watch = Watch()
    with watch.watching():
        yield watch


def shown(live: LiveServer, name: str) -> float:
    """Return a number that the waves plugin shows."""
    board = live.app.state.hosting.board
    return {g.name: float(g.read()) for g in board.gauges if g.plugin == "waves"}[name]


def warm(live: LiveServer, watch: Watch) -> None:
    """Have one session with all its waves, and both workers ready."""
    chat(live, 1)
    watch.wait_for_outcomes(len(watch.written))
    until(lambda: shown(live, "workers") == 2, "both workers are ready")


@pytest.mark.faults
@pytest.mark.parametrize("limits", LIMITS, ids=["speech", "both"])
def test_a_session_goes_while_its_waves_wait_or_are_made(
    artifacts: Artifacts, watch: Watch, limits: dict[str, Any]
) -> None:
    """F26: removed while its job is queued or at a worker, a session is gone for good."""
    names = [f"session-{n}" for n in range(1, 5)]
    with serving(artifacts, **limits) as live:
        warm(live, watch)
        before = len(watch.outcomes)
        with stopped_workers() as stopped:
            for name in names:
                speak(artifacts, "slot-1_gpt_calm", session=name)
            until(lambda: shown(live, "queued") == 2, "two are at workers and two wait")
            add_newer(artifacts, *NEWER)
            until(lambda: gone(artifacts, *names), "all of them go")
        watch.wait_for_outcomes(before + len(names))
        until_unlinked(artifacts)

    ended = watch.outcomes[before:]
    assert 2 == len(stopped)
    assert {"session_gone"} == {getattr(outcome, "reason", "") for outcome in ended}
    assert sorted(names) == sorted(outcome.source.session_id for outcome in ended)
    assert {"tts": NEWER, "trash": []} == {
        place: there for place, there in stored(artifacts).items() if place != "waves"
    }
    assert gone(artifacts, *names)
    assert [] == list(artifacts.temporary.iterdir())


@pytest.mark.faults
@pytest.mark.parametrize("limits", LIMITS, ids=["speech", "both"])
def test_a_session_goes_when_its_waves_have_just_been_published(
    artifacts: Artifacts, watch: Watch, limits: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """F26: removed between the publishing of its waves and their record, a session stays away."""
    name = "session-1"
    record_it = record.record

    def removed_before(
        root: Artifacts, session_id: str, utterance: record.Utterance
    ) -> record.Utterance | None:
        if session_id == name:
            published.append([len(list(root.sessions("waves").glob(f"{name}/*/*_v3_wave?.wav")))])
            add_newer(artifacts, *NEWER)
            until(lambda: gone(artifacts, name, trees=("tts",)), "its speech goes")
            if "waves_keep_last" in limits:
                until(lambda: gone(artifacts, name), "its waves go")
        return record_it(root, session_id, utterance)

    published: list[list[int]] = []
    monkeypatch.setattr(record, "record", removed_before)
    with serving(artifacts, **limits) as live:
        warm(live, watch)
        before = len(watch.outcomes)
        speak(artifacts, "slot-1_gpt_calm", session=name)
        watch.wait_for_outcomes(before + 1)
        until_unlinked(artifacts)

    (failed,) = watch.outcomes[before:]
    assert [[3]] == published
    assert isinstance(failed, WavesFailed)
    assert ("session_gone", name) == (failed.reason, failed.source.session_id)
    assert gone(artifacts, name)
    assert [] == stored(artifacts)["trash"]


@pytest.mark.faults
@pytest.mark.parametrize("tree", ["tts", "waves"])
def test_a_session_goes_while_it_is_served(artifacts: Artifacts, tree: str) -> None:
    """F26: who has begun to read gets the full body; who asks afterwards gets 404."""
    path = artifacts.sessions(tree) / "session-1" / "turn_1" / "a_v3_wave1.wav"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"RIFF" + bytes(BIG))
    size = path.stat().st_size
    url = f"/v1/audio/{artifacts.relative(path)}"

    with (
        serving(artifacts, with_waves=False, **{f"{tree}_keep_last": "1"}) as live,
        live.client() as client,
    ):
        with client.stream("GET", url) as answer:
            chunks = answer.iter_bytes(65_536)
            received = len(next(chunks))
            add_newer(artifacts, "newer")
            until(lambda: gone(artifacts, "session-1"), "the session goes")
            meanwhile = client.get(url)
            received += sum(map(len, chunks))
        afterwards = client.get(url)

    assert (HTTPStatus.OK, size) == (answer.status_code, received)
    assert HTTPStatus.NOT_FOUND == meanwhile.status_code == afterwards.status_code


@pytest.mark.faults
def test_live_sessions_lose_nothing_to_the_tightest_limits(
    artifacts: Artifacts, watch: Watch
) -> None:
    """F26: with limits that every session is over, each utterance spoken live still gets its waves
    before anything of it goes, and then all of it goes and stays away.
    """
    with serving(artifacts, tts_ttl_min="0.0001", waves_max_mb="0.000001") as live:
        sessions = [str(chat(live, 1, 2)[0][1]["sessionId"]) for _ in range(3)]
        watch.wait_for_outcomes(len(watch.written))
        until(lambda: gone(artifacts, *sessions), "all of them go")
        until_unlinked(artifacts)
        outcomes = list(watch.outcomes)

    assert 18 == len(outcomes)
    assert all(isinstance(outcome, WavesWritten) for outcome in outcomes)
    assert {"tts": [], "waves": [], "trash": []} == stored(artifacts)
