"""The generated callbacks in a stand-in for TouchDesigner, fed by the real server."""

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from backend.config import Settings
from backend.http.app import create_app
from backend.signals import emit
from plugins.show.messages import UtteranceReady
from plugins.waves.signals import waves_written
from tests.command import run
from tests.live import LiveServer, chat
from tests.plugins.show.harness import TouchDesigner
from tests.plugins.show.listening import END, found, hub_of, on_loop, simulating
from tests.simulated import done, play, spoken, write_waves

WAVES = {slot: tuple(f"slot{slot}_wave{wave}" for wave in (1, 2, 3)) for slot in range(1, 7)}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveServer]:
    """Return a server on whose bus the test plays sessions."""
    monkeypatch.setenv("RR_SHOW_HEARTBEAT_S", "60")
    with simulating(tmp_path) as live:
        yield live


@pytest.mark.e2e
def test_a_real_session_is_played(tmp_path: Path) -> None:
    """Every utterance plays on its slot's operators, opened first, for its duration, in turn."""
    app = create_app(Settings(artifacts_dir=tmp_path, seed=1), found("waves", "show"))
    with LiveServer(app) as live:
        designer = TouchDesigner(live.port)
        designer.start()
        chat(live, 1, 2)
        designer.hear_until(END)
        designer.advance(600_000)

    ready = [m["payload"] for m in designer.received if m["type"] == "utterance.waves.ready"]
    assert 6 == len(ready)
    for slot in (1, 2):
        mine = [payload for payload in ready if payload["slotId"] == slot]
        for number, name in enumerate(WAVES[slot]):
            paths = [payload["waves"][number]["path"] for payload in mine]
            assert paths == [
                what for _, op, par, what in designer.log if (op, par) == (name, "file")
            ]
            begun = designer.times("play", 1, name)
            assert begun == designer.times("cuepulse", 1, name)
            loaded = [at for at, op, par, _ in designer.log if (op, par) == (name, "file")]
            assert [at + designer.module.OPEN_MS for at in loaded] == begun
            ended = [at + p["durationMs"] + designer.module.TAIL_MS
                     for at, p in zip(begun, mine, strict=True)]  # fmt: skip
            assert set(ended) <= set(designer.times("play", 0, name))
            assert all(
                end <= later for end, (_, later) in zip(ended, pairwise(loaded), strict=False)
            )
    assert [] == designer.said


@pytest.mark.parametrize("arguments", [3, 4, 5])
def test_every_spelling_of_the_callback_works(
    arguments: int, server: LiveServer, tmp_path: Path
) -> None:
    """Builds that hand over a peer, or bytes and a peer, play as those that do not."""
    designer = TouchDesigner(server.port, arguments=arguments)
    designer.start()
    on_loop(server, lambda: play("s", tmp_path, (3,)))
    designer.hear_until(END)
    designer.advance(10_000)

    assert 9 == len(designer.files())
    assert {f"slot3_wave{n}" for n in (1, 2, 3)} == {name for _, name, _, _ in designer.log}


def test_what_comes_twice_is_played_once(server: LiveServer, tmp_path: Path) -> None:
    """An event with the session and number of an earlier one is nothing new."""
    designer = TouchDesigner(server.port)
    designer.start()
    on_loop(server, lambda: play("s", tmp_path, (1,)))
    designer.hear_until(END)
    for message in list(designer.received):
        designer.hear(json.dumps(message))
    designer.advance(10_000)

    assert 9 == len(designer.files())


def test_a_lost_connection_is_renewed_and_nothing_lost(server: LiveServer, tmp_path: Path) -> None:
    """It comes back with its cursor, hears what it missed, and plays each utterance once."""
    designer = TouchDesigner(server.port)
    designer.start()
    on_loop(server, lambda: play("one", tmp_path, (1,)))
    designer.hear_until("turn.waves.ready")
    last = designer.received[-1]["cursor"]
    designer.close()
    on_loop(server, lambda: play("two", tmp_path, (2,)))

    designer.advance(designer.module.RECONNECT_MS)
    designer.hear_until(END, times=2)
    designer.advance(10_000)

    assert [{"type": "hello"}, {"type": "hello", "cursor": last}] == designer.sent
    assert 18 == len(set(designer.files())) == len(designer.files())


def test_silence_renews_the_connection(server: LiveServer) -> None:
    """Without a sign of life the watch reconnects; as long as there is one it does not."""
    designer = TouchDesigner(server.port)
    designer.start()
    designer.hear_until("hello.ack")
    silence_ms = designer.module.SILENCE_S * 1000
    for _ in range(10):
        designer.advance(silence_ms - 1)
        on_loop(server, hub_of(server).heartbeat)
        designer.hear_until("heartbeat")
    assert 1 == len(designer.sent)

    designer.advance(silence_ms + designer.module.WATCH_MS + designer.module.RECONNECT_MS)
    designer.hear_until("hello.ack")

    assert 2 == len(designer.sent)
    assert 1 == hub_of(server).clients


def test_starting_again_leaves_one_watch(server: LiveServer) -> None:
    """However often it is started there is one chain of watches, with a server and without."""
    designer = TouchDesigner(server.port)
    designer.module.__dict__["PORT"] = 1
    for _ in range(3):
        designer.module.start(designer)
        designer.advance(designer.module.WATCH_MS / 10)
    designer.advance(designer.module.WATCH_MS * 3)
    assert 1 == designer.waiting("watch")

    designer.module.__dict__["PORT"] = server.port
    designer.start()
    designer.hear_until("hello.ack")
    designer.advance(designer.module.WATCH_MS)

    assert 1 == designer.waiting("watch")
    assert 1 == hub_of(server).clients


def test_it_waits_for_a_server_that_is_not_there(server: LiveServer) -> None:
    """It tries again and again, also if nobody calls onDisconnect, until the server is there."""
    designer = TouchDesigner(server.port)
    port = designer.port
    designer.module.__dict__["PORT"] = 1
    designer.start()
    designer.advance(60_000)
    assert [] == designer.sent

    designer.par.port = port
    designer.advance(20_000)

    assert [{"type": "hello"}] == designer.sent


@pytest.mark.e2e
def test_a_restarted_server_is_no_reason_to_play_again(tmp_path: Path) -> None:
    """What was told before is not played again; what happens from then on is, numbered anew."""
    with simulating(tmp_path) as first:
        designer = TouchDesigner(first.port)
        designer.start()
        on_loop(first, lambda: play("s", tmp_path, (1,)))
        designer.hear_until(END)
        designer.advance(60_000)
        played = len(designer.files())
    designer.lose()
    designer.storage["reflective_resonance"]["cursor"] -= 3  # as if the last ones had not come
    with simulating(tmp_path) as second:
        designer.par.port = second.port
        designer.advance(2000)
        designer.hear_until("replay.gap")
        assert played == len(designer.files())
        on_loop(second, lambda: play("s", tmp_path, (1,)))
        designer.hear_until(END)
        designer.advance(10_000)

    assert played + 9 == len(designer.files())


def test_what_is_made_up_for_is_not_played(server: LiveServer, tmp_path: Path) -> None:
    """A backfilled utterance, and one that became ready long before the hello, stay silent."""
    designer = TouchDesigner(server.port)
    designer.start()
    on_loop(server, lambda: play("s", tmp_path, (1,)))
    designer.hear_until("utterance.waves.ready")
    designer.advance(10_000)
    event = designer.received[-1]
    before = len(designer.files())

    late = {**event, "seq": 98, "ts": event["ts"].replace("20", "19", 1)}
    for changed in ({**event, "seq": 99, "payload": {**event["payload"], "backfill": True}}, late):
        designer.hear(json.dumps(changed))
    designer.advance(10_000)
    assert before == len(designer.files())

    designer.hear(json.dumps({**event, "seq": 100}))
    assert before + 3 == len(designer.files())
    assert UtteranceReady.type == event["type"]


@pytest.mark.parametrize(("mode", "starts"), [("turn", [0, 0]), ("session", [0, 100])])
def test_other_ways_to_play(
    mode: str, starts: list[float], server: LiveServer, tmp_path: Path
) -> None:
    """A turn begins on all its slots together; a session plays one utterance after the other."""
    designer = TouchDesigner(server.port)
    designer.module.__dict__["PLAY"] = mode
    designer.start()
    on_loop(server, lambda: play("s", tmp_path, (1, 2)))
    designer.hear_until(END)
    heard_at = designer.now_ms
    designer.advance(10_000)

    first = [designer.times("play", 1, f"slot{slot}_wave1")[0] for slot in (1, 2)]
    assert [heard_at + designer.module.OPEN_MS + start for start in starts] == first
    assert 18 == len(designer.files())


def test_a_summary_plays_in_all_slots_at_once(server: LiveServer, tmp_path: Path) -> None:
    """Slot 0 is all six speakers, with three waves each."""
    designer = TouchDesigner(server.port)
    designer.start()
    source = spoken("s", 4, 0, root=tmp_path)
    files = write_waves(source, tmp_path)
    on_loop(server, lambda: emit(waves_written, None, done(source, files)))
    designer.hear_until(UtteranceReady.type)
    designer.advance(10_000)

    starts = [designer.times("play", 1, *WAVES[slot]) for slot in range(1, 7)]
    assert [starts[0]] * 6 == starts
    assert 3 == len(starts[0])
    assert sorted(6 * list(map(str, files))) == sorted(designer.files())


def test_files_come_from_where_they_are(server: LiveServer, tmp_path: Path) -> None:
    """The path if the file is here, else the URL as this machine has it; or the one chosen."""
    designer = TouchDesigner(server.port)
    designer.start()
    on_loop(server, lambda: play("s", tmp_path, (1,)))
    designer.hear_until(END)
    wave = next(m for m in designer.received if "waves" in m["payload"])["payload"]["waves"][0]
    elsewhere = {**wave, "path": "/nowhere/a.wav"}
    url = f"{server.url}/{wave['url'].removeprefix('http://127.0.0.1:8000/')}"

    source = designer.module.source
    assert [wave["path"], url] == [source(wave), source(elsewhere)]
    with server.client() as client:
        assert Path(wave["path"]).read_bytes() == client.get(url).content
    designer.module.__dict__["FROM"] = "url"
    assert url == source(wave)
    designer.module.__dict__["FROM"] = "path"
    assert "/nowhere/a.wav" == source(elsewhere)


def test_a_missing_operator_is_told_and_passed_over(server: LiveServer, tmp_path: Path) -> None:
    """The other two waves of the slot play; the textport names the one that is missing."""
    designer = TouchDesigner(server.port, lacking=("slot1_wave2",))
    designer.start()
    on_loop(server, lambda: play("s", tmp_path, (1,)))
    designer.hear_until(END)
    designer.advance(10_000)

    assert 6 == len(designer.files())
    assert all("slot" in said and "2" in said for said in designer.said)
    assert 3 == len(designer.said)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"type": "x"}', '{"type": "x", "payload": []}']
)
def test_what_is_no_message_is_passed_over(text: str, server: LiveServer) -> None:
    """Text that is not of the show is told once in the textport and does no harm."""
    designer = TouchDesigner(server.port)
    designer.start()

    designer.hear(text)
    designer.hear_until("hello.ack")

    assert 1 == len(designer.said)


@pytest.mark.e2e
def test_the_command_prints_the_text_for_this_installation(tmp_path: Path) -> None:
    """Host, port and heartbeat are those of the settings or of the options; the text is Python."""
    env = {"RR_PORT": "8123", "RR_SHOW_HEARTBEAT_S": "2"}

    own = run("touchdesigner", cwd=tmp_path, env=env)
    other = run("touchdesigner", "--host", "show.local", "--port", "80", cwd=tmp_path)
    wrong = run("touchdesigner", cwd=tmp_path, env={"RR_PORT": "water"})

    assert ((0, ""), (0, "")) == ((own.returncode, own.stderr), (other.returncode, other.stderr))
    assert "HOST = '127.0.0.1'\nPORT = 8123\nPATH = '/v1/events'\nHEARTBEAT_S = 2.0\n" in own.stdout
    assert "HOST = 'show.local'\nPORT = 80\n" in other.stdout
    assert "@" not in own.stdout
    compile(own.stdout, "callbacks.py", "exec", dont_inherit=True)
    assert max(map(len, own.stdout.splitlines())) <= 110
    assert (2, "") == (wrong.returncode, wrong.stdout)
    assert "RR_PORT" in wrong.stderr
