"""The command plays into a file, measures a recording, changes dishes.toml, and asks the server."""

import json
import signal
import socket
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from backend.config import Settings
from backend.http.app import create_app
from backend.plugins import Discovered, commands
from plugins.playback.dishes import load_dishes
from plugins.playback.player import MARKER
from plugins.playback.settings import plugin
from plugins.playback.soundcheck.command import PATH, STATE
from tests.command import Running, free_port, invoke
from tests.live import LiveServer
from tests.patience import until
from tests.plugins.playback.soundcheck.transducer import Array, recorded

RATE = 8000
DISHES = """# of the show
[[channel]]
name = "left"   # by the door
plays = ["slot 1"]
cap_db = -30

[[channel]]  # the second
name = "right"
level_db = -25.0  # measured by ear
plays = ["slot 2"]

# the loudspeaker
[[channel]]
name = "loudspeaker"
plays = ["slot 1 speech"]
"""


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return settings of three channels, with no server."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dishes.toml").write_text(DISHES, "utf-8")
    return {
        "RR_PORT": str(free_port()),
        "RR_PLAYBACK_DISHES": str(tmp_path / "dishes.toml"),
        "RR_PLAYBACK_RATE": str(RATE),
    }


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """Return a recording of a sweep on a transducer that resonates at 24 Hz."""
    soundfile.write(tmp_path / "in.wav", recorded(24, 8), 2000, "FLOAT")
    return str(tmp_path / "in.wav")


def loud(path: Path) -> Array:
    """Return the largest sample of each channel of a file."""
    y, _ = soundfile.read(path, always_2d=True)
    return np.asarray(np.abs(y).max(axis=0, initial=0))


def test_the_channels_are_listed(env: dict[str, str]) -> None:
    """With what each plays, its own level, cap and notches, also as data."""
    path = Path(env["RR_PLAYBACK_DISHES"])
    path.write_text(f"{DISHES}notch = [{{hz = 24, db = 12, width = 6}}]\n", "utf-8")
    shown = invoke("soundcheck", "--list", **env)
    data = invoke("soundcheck", "--list", "--json", "--channel", "right", **env)

    assert all(name in shown.stdout for name in ("left", "right", "loudspeaker"))
    assert all(words in shown.stdout for words in ("slot 1 speech", "-25", "-30", "24 Hz 12 dB"))
    assert [
        {
            "channel": 2,
            "name": "right",
            "plays": ["slot 2"],
            "level_db": -25,
            "cap_db": -12,
            "notch": [],
            "polarity": 1,
            "delay_ms": 0,
        }
    ] == json.loads(data.stdout)


def test_a_channel_is_played_below_its_cap(env: dict[str, str], tmp_path: Path) -> None:
    """Into a file, as into a card; what is played is said."""
    out = tmp_path / "out.wav"

    done = invoke(  # without a server, by a voice of its own
        *("soundcheck", "--channel", "left", "--signal", "number", "--level", "-6", "--json"),
        *("--file", str(out)),
        **env,
    )

    assert 0 == done.exit_code
    assert "1 left: number at -30 dB" in done.stderr
    assert -30 == json.loads(done.stdout)[0]["levelDb"]
    left, *others = loud(out)
    assert 0.9 * 10 ** (-30 / 20) < left <= 10 ** (-30 / 20)
    assert not any(others)


def test_without_a_voice_the_reason_is_said(env: dict[str, str], tmp_path: Path) -> None:
    """Of the voice that the settings ask for; nothing is played."""
    voice = {
        "RR_SPEECH_ENGINE": "openai",
        "RR_SPEECH_OPENAI_URL": f"http://127.0.0.1:{free_port()}",
    }
    asked = ("soundcheck", "--channel", "1", "--signal", "number", "--file", "out.wav")

    done = invoke(*asked, **env, **voice, RR_SPEECH_FALLBACK="openai")

    assert 1 == done.exit_code
    assert "openai" in done.stderr
    assert not loud(tmp_path / "out.wav").any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--channel", "middle"), "there are 1 to 3: left, right, loudspeaker"),
        (("--channel", "4"), "there are 1 to 3"),
        (("--measure",), "say which channel"),
        (
            ("--measure", "--recording", "none.wav", "--channel", "1"),
            "--recording none.wav: no such file",
        ),
        (("--recording", "none.wav"), "--recording belongs to --measure"),
        (("--input", "1"), "--input belongs to --measure"),
        (("--write", "--channel", "1"), "--write belongs to --measure"),
        (("--file", "dishes.toml", "--channel", "1"), "must end in .wav"),
    ],
)
def test_wrong_words_are_explained(
    env: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    """With exit code 2."""
    done = invoke("soundcheck", *arguments, **env)

    assert 2 == done.exit_code
    assert words in done.stderr
    assert Path("dishes.toml").read_text("utf-8") == DISHES


@pytest.mark.parametrize(
    ("setting", "words"),
    [("FILE", "must end in .wav"), ("RATE", "must be 0, or 8000 to 192000")],
)
def test_wrong_settings_are_explained(env: dict[str, str], setting: str, words: str) -> None:
    """A file of another kind is not written over; 5 Hertz are no rate."""
    value = {"FILE": "dishes.toml", "RATE": "5"}[setting]

    done = invoke("soundcheck", "--list", **{**env, f"RR_PLAYBACK_{setting}": value})

    assert 2 == done.exit_code
    assert words in done.stderr
    assert f"RR_PLAYBACK_{setting}" in done.stderr


def stopped(tmp_path: Path) -> Path:
    """Leave the marker of an emergency stop; return it."""
    marker = tmp_path / "artifacts" / MARKER
    marker.parent.mkdir()
    marker.touch()
    return marker


@pytest.mark.parametrize(
    "asked", [("--signal", "buzz"), ("--measure",)], ids=["a signal", "a measurement"]
)
def test_an_emergency_stop_holds_without_a_server(
    env: dict[str, str], tmp_path: Path, asked: tuple[str, ...]
) -> None:
    """Nothing is opened, and what ends the stop is said; a file of --file is no card."""
    marker = stopped(tmp_path)
    output = {"RR_PLAYBACK_FILE": str(tmp_path / "card.wav")}

    done = invoke("soundcheck", "--channel", "2", *asked, **env, **output)

    assert 1 == done.exit_code
    assert "POST /v1/playback/release" in done.stderr
    assert str(Path("artifacts") / marker.name) in done.stderr
    assert not (tmp_path / "card.wav").exists()


def test_a_stop_does_not_keep_a_file_from_being_written(
    env: dict[str, str], tmp_path: Path
) -> None:
    """That of --file, which nobody hears."""
    stopped(tmp_path)

    asked = ("--channel", "2", "--signal", "number", "--file", "out.wav")
    done = invoke("soundcheck", *asked, **env)

    assert 0 == done.exit_code
    assert loud(tmp_path / "out.wav")[1]


def test_a_file_that_cannot_be_written_is_that_of_the_option(env: dict[str, str]) -> None:
    """Nobody has set RR_PLAYBACK_FILE."""
    asked = ("--channel", "2", "--signal", "buzz", "--file", str(Path("none", "x.wav")))

    done = invoke("soundcheck", *asked, **env)

    assert 1 == done.exit_code
    assert f"--file {Path('none', 'x.wav')}: " in done.stderr
    assert "RR_PLAYBACK_FILE" not in done.stderr


class Answering(BaseHTTPRequestHandler):
    """A server with one answer."""

    status, detail = 200, ""

    def do_GET(self) -> None:
        body = json.dumps({"detail": self.detail}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


OFF = "The plugin 'playback' is not running"


@pytest.mark.parametrize(
    ("status", "detail", "is_played"),
    [
        (401, "The token is wrong.", False),
        (503, "The server is ending.", False),
        (503, f"{OFF}: warming.", False),
        (503, f"{OFF}: disabled. Switch it on: reflective-resonance plugins enable x", True),
        (503, f"{OFF}: failed.", True),
        (404, "There is no such path.", True),
    ],
)
def test_only_a_server_that_does_not_play_leaves_the_output_to_the_command(
    env: dict[str, str], tmp_path: Path, status: int, detail: str, *, is_played: bool
) -> None:
    """Another that refuses may hold the card: its words are said, and nothing is opened."""
    kind = type("One", (Answering,), {"status": status, "detail": detail})
    asked = ("soundcheck", "--channel", "2", "--signal", "number")
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            here = {"RR_PORT": str(server.server_port), "RR_PLAYBACK_FILE": "card.wav"}
            done = invoke(*asked, **{**env, **here})
        finally:
            server.shutdown()
            thread.join()

    assert (0 if is_played else 1) == done.exit_code
    assert is_played == (tmp_path / "card.wav").exists()
    assert is_played or detail in done.stderr


def test_a_server_that_does_not_answer_may_hold_the_card(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It listens, and says nothing."""
    monkeypatch.setattr(commands.Server.client, "__defaults__", (0.1,))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        here = {"RR_PORT": str(listening.getsockname()[1]), "RR_PLAYBACK_FILE": "card.wav"}
        done = invoke("soundcheck", "--channel", "2", "--signal", "buzz", **{**env, **here})

    assert 1 == done.exit_code
    assert "ReadTimeout" in done.stderr
    assert not (tmp_path / "card.wav").exists()


def test_a_recording_is_measured(env: dict[str, str], recording: str) -> None:
    """The resonance, the band that becomes flat, and lines that dishes.toml takes."""
    asked = ("soundcheck", "--channel", "2", "--measure", "--recording", recording)
    data = json.loads(invoke(*asked, "--json", **env).stdout)[0]
    shown = invoke(*asked, **env).stdout

    (resonance,) = data["resonances"]
    assert resonance["hz"] == pytest.approx(24, abs=0.5)
    assert [8, 160] == pytest.approx(data["flatHz"])
    (notch,) = tomllib.loads(f"notch = {data['lines']['notch']}")["notch"]
    assert notch["hz"] == pytest.approx(24, abs=0.5)
    assert f"notch = {data['lines']['notch']}" in shown
    assert "resonance at 24" in shown
    bars = [line.count("#") for line in shown.splitlines() if "#" in line]
    assert max(bars) > 8


def test_a_recording_that_shows_nothing_is_refused(env: dict[str, str], tmp_path: Path) -> None:
    """In words, with exit code 1."""
    soundfile.write(tmp_path / "in.wav", np.zeros(50_000), 2000)

    done = invoke("soundcheck", "--channel", "2", "--measure", "--recording", "in.wav", **env)

    assert 1 == done.exit_code
    assert "is silent" in done.stderr


def test_the_proposal_is_written_and_comments_stay(
    env: dict[str, str], recording: str, tmp_path: Path
) -> None:
    """Only two lines of the channel differ, and the file is one that playback takes."""
    asked = ("--channel", "right", "--measure", "--recording", recording, "--write")
    done = invoke("soundcheck", *asked, **env)

    assert 0 == done.exit_code, done.stderr
    assert f"{tmp_path / 'dishes.toml'}: right has now level_db = " in done.stderr
    assert "notch = [{hz = 24" in done.stderr
    text = (tmp_path / "dishes.toml").read_text("utf-8")
    added = [line for line in text.splitlines() if line not in DISHES.splitlines()]
    assert [line.partition(" = ")[0] for line in added] == ["notch", "level_db"]
    assert added[1].endswith("# measured by ear")
    assert set(DISHES.splitlines()) - set(text.splitlines()) == {
        "level_db = -25.0  # measured by ear"
    }
    left, right, _ = load_dishes(tmp_path / "dishes.toml").channels
    assert () == left.notch
    assert right.notch[0].hz == pytest.approx(24, abs=0.5)
    assert -25 < right.level_db <= -19


def test_a_level_is_made_up_for_once(env: dict[str, str], recording: str, tmp_path: Path) -> None:
    """A recording that is written again may have the notches in it: it is refused, in words."""
    asked = ("soundcheck", "--channel", "right", "--measure", "--recording", recording)
    first = invoke(*asked, "--write", **env)
    written = (tmp_path / "dishes.toml").read_bytes()

    again = [invoke(*asked, "--write", **env) for _ in range(2)]
    shown = invoke(*asked, **env)

    assert [0, 2, 2, 0] == [one.exit_code for one in (first, *again, shown)]
    assert "take `notch` away" in again[1].stderr
    assert written == (tmp_path / "dishes.toml").read_bytes()
    assert "level_db = " not in shown.stdout
    assert "level_db stays" in shown.stdout


def test_a_channel_that_needs_no_notch_keeps_its_level(env: dict[str, str], tmp_path: Path) -> None:
    """However often that is written."""
    soundfile.write(
        tmp_path / "damped.wav", recorded(12, 0.5, sensor="acceleration"), 2000, "FLOAT"
    )
    asked = ("--channel", "right", "--measure", "--recording", "damped.wav", "--write")

    codes = [invoke("soundcheck", *asked, **env).exit_code for _ in range(3)]

    assert [0, 0, 0] == codes
    _, right, _ = load_dishes(tmp_path / "dishes.toml").channels
    assert ((), -25) == (right.notch, right.level_db)


@pytest.mark.parametrize("notch", ["notch = [\n]", 'name = """\nnotch = 1\n"""'])
def test_a_file_that_cannot_be_changed_by_lines_is_left(
    env: dict[str, str], recording: str, tmp_path: Path, notch: str
) -> None:
    """A value over several lines: the proposal is shown, and the file stays as it was."""
    path = tmp_path / "dishes.toml"
    name = "" if "name" in notch else 'name = "a"\n'
    path.write_text(f"[[channel]]\n{name}{notch}\n", "utf-8")
    before = path.read_bytes()

    asked = ("--channel", "1", "--measure", "--recording", recording, "--write")
    done = invoke("soundcheck", *asked, **env)

    assert 2 == done.exit_code
    assert "cannot be changed line by line" in done.stderr
    assert "notch = [{hz = 24" in done.stdout
    assert before == path.read_bytes()


@pytest.fixture
def server(
    env: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveServer]:
    """Return a server that holds the card, here a file, with what the commands need to reach it."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RR_PLAYBACK_ENABLED", "true")
    monkeypatch.setenv("RR_PLAYBACK_FILE", str(tmp_path / "server.wav"))
    app = create_app(Settings(artifacts_dir=tmp_path / "a"), [Discovered("playback", plugin)])
    with LiveServer(app) as live, live.client() as client:
        until(lambda: bool(client.get("/v1/playback").json()["output"]), "the file is open")
        monkeypatch.delenv("RR_PLAYBACK_FILE")
        env["RR_PORT"] = str(live.port)
        yield live


@pytest.mark.e2e
def test_the_server_that_has_the_card_plays(
    server: LiveServer, env: dict[str, str], tmp_path: Path
) -> None:
    """The command asks it, and says what it plays."""
    played = invoke("soundcheck", "--channel", "right", "--signal", "number", **env)

    assert 0 == played.exit_code
    assert "2 right: number at -40 dB" in played.stderr
    until(lambda: loud(tmp_path / "server.wav")[1] > 0.009, "it is in the file's header")
    assert loud(tmp_path / "server.wav")[1] < 0.011


@pytest.mark.e2e
@pytest.mark.usefixtures("server")
def test_a_server_with_an_earlier_dishes_toml_plays_nothing(env: dict[str, str]) -> None:
    """Whatever differs; --list says it too."""
    path = Path(env["RR_PLAYBACK_DISHES"])
    changes = {
        'plays = ["slot 1"]': 'plays = ["slot 1 at -6 dB"]',
        "cap_db = -30": "cap_db = -40",
        "level_db = -25.0": "level_db = -31.0",
        'name = "left"': 'name = "l"',
        'plays = ["slot 2"]': 'plays = ["slot 2"]\npolarity = -1',
        'plays = ["slot 1 speech"]': 'plays = ["slot 1 speech"]\ndelay_ms = 3',
        "# of the show": "[[channel]]\nname = 'new'",
    }
    texts = [DISHES.replace(*change) for change in changes.items()]
    texts.append(f"{DISHES}notch = [{{hz = 24, db = 9, width = 6}}]")
    refused, listed = [], []
    for text in texts:
        path.write_text(text, "utf-8")
        refused.append(invoke("soundcheck", "--channel", "2", "--signal", "buzz", **env))
        listed.append(invoke("soundcheck", "--list", **env))
    path.write_text(DISHES, "utf-8")
    same = invoke("soundcheck", "--list", **env)

    assert {2} == {one.exit_code for one in refused}
    assert all("plugins enable playback" in one.stderr for one in (*refused, *listed))
    assert {0} == {one.exit_code for one in (*listed, same)}
    assert "earlier" not in same.stderr


@pytest.mark.e2e
def test_a_signal_of_the_server_ends_by_a_stop_or_ctrl_c(
    server: LiveServer, env: dict[str, str], tmp_path: Path
) -> None:
    """The first is an error that says so, long before the sweep is over; the second is 130."""
    arguments = ("soundcheck", "--channel", "right", "--signal", "sweep")
    with Running(*arguments, cwd=tmp_path, env=env) as running:
        running.wait_for("2 right: sweep")
        interrupted = running.stop(signal.SIGINT)
    with server.client() as client, Running(*arguments, cwd=tmp_path, env=env) as stopped:
        stopped.wait_for("2 right: sweep")
        client.post("/v1/playback/stop")
        stopped.wait_for("stopped by hand")
        code = stopped.ended()

    assert (130, 1) == (interrupted, code)


@pytest.mark.e2e
@pytest.mark.parametrize("another", [True, False], ids=["another", "an end"])
def test_a_signal_that_somebody_else_ends_is_no_success(
    server: LiveServer, env: dict[str, str], tmp_path: Path, *, another: bool
) -> None:
    """By another signal, which goes on, or by the route; the command says which it was."""
    arguments = ("soundcheck", "--channel", "right", "--signal", "sweep")
    with server.client() as client, Running(*arguments, cwd=tmp_path, env=env) as cut:
        cut.wait_for("2 right: sweep")
        asked = {"channel": 1, "signal": "sweep"}
        began = client.post(PATH, json=asked) if another else client.delete(PATH)
        cut.wait_for("another signal took its place" if another else "ended by another program")
        code = cut.ended()
        check = client.get(STATE).json()["check"]

    assert 1 == code
    assert check == (began.json()["id"] if another else 0)


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals")
def test_a_signal_of_the_server_ends_with_the_command(
    server: LiveServer, env: dict[str, str], tmp_path: Path, name: str
) -> None:
    """That was told to end, or whose terminal was closed."""
    number = getattr(signal, name)
    arguments = ("soundcheck", "--channel", "right", "--signal", "sweep")
    with server.client() as client, Running(*arguments, cwd=tmp_path, env=env) as running:
        running.wait_for("2 right: sweep")
        code = running.stop(number)
        check = client.get(STATE).json()["check"]

    assert (128 + number, 0) == (code, check)


@pytest.mark.e2e
def test_ctrl_c_is_silent_softly_and_at_once(env: dict[str, str], tmp_path: Path) -> None:
    """In the middle of a sweep: half a second later the file ends, without a step."""
    out = tmp_path / "out.wav"
    arguments = ("soundcheck", "--channel", "2", "--signal", "sweep", "--level", "-20")
    with Running(*arguments, "--file", str(out), cwd=tmp_path, env=env) as running:
        running.wait_for("2 right: sweep at -20 dB")
        until(lambda: out.stat().st_size > 3 * 4 * 3 * RATE, "it has played for three seconds")
        code = running.stop(signal.SIGINT)

    assert 130 == code
    assert "the channels are silent" in "".join(running.log)
    y = soundfile.read(out)[0][:, 1]
    assert np.abs(y[-RATE // 20 :]).max() < 0.005  # what the DC block still lets through
    assert np.abs(y[-RATE // 2 : -RATE // 4]).max() > 0.05
    assert np.abs(np.diff(y)).max() < 0.002
