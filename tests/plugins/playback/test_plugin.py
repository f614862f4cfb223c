"""A session as it would be heard, in a WAV file of all channels; faults, stop and release."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from structlog.testing import capture_logs

from backend.config import Settings
from backend.errors import SettingsError
from backend.http.app import create_app
from backend.plugins import Host, PluginStatus, PluginStatuses
from backend.plugins.testing import check_contract
from backend.signals import (
    SessionFinished,
    SessionStarted,
    TurnFinished,
    emit,
    session_finished,
    session_started,
    tts_written,
    turn_finished,
)
from backend.storage import Artifacts
from plugins.playback import output as outputs
from plugins.playback import player as players
from plugins.playback import steps
from plugins.playback.kinds import Signal
from plugins.playback.mixer import Mixer
from plugins.playback.output import OutputError, WavFile
from plugins.playback.player import BUSY, STOPPED, Player
from plugins.playback.plugin import lifespan
from plugins.playback.settings import PlaybackSettings, plugin
from plugins.waves.signals import waves_written
from tests.live import LiveServer
from tests.patience import until
from tests.simulated import NOW, done, spoken

RATE = 8000
PAUSE_S = 0.1
SECONDS = {1: 0.3, 2: 0.2, 3: 0.25, 4: 0.2}
"""Of an utterance of each turn."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "heard" / "all.wav"


@asynccontextmanager
async def playing(
    root: Path, file: Path, **settings: Any
) -> AsyncIterator[tuple[Player, PluginStatuses]]:
    """Run the plugin; yield its service, and how it says that it is."""
    file.parent.mkdir(exist_ok=True)
    board = PluginStatuses()
    board.open_service("waves", None)
    host = Host(
        Artifacts(root), lambda *told: board.set("playback", *told), "playback", board=board
    )
    given = {"enabled": True, "file": file, "rate": RATE, "pause_s": PAUSE_S, **settings}
    async with lifespan(host, PlaybackSettings(**given)) as player:
        yield player, board


async def becomes(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(until, condition, what)


def voiced(root: Path, turn: int, slot_id: int, target: int | None = None) -> None:
    """Send an utterance and its waves: 100 Hz at a level that names turn and slot."""
    source = spoken("s", turn, slot_id, target, root)
    y = np.sin(2 * np.pi * 100 * np.arange(round(SECONDS[turn] * RATE)) / RATE)
    files = tuple(root / f"{turn}_{slot_id}_{target}_{wave}.wav" for wave in (1, 2, 3))
    for path in files:
        soundfile.write(path, (0.2 * turn + 0.02 * slot_id) * y, RATE)
    emit(tts_written, None, source)
    emit(waves_written, None, done(source, files))


def session(root: Path, slot_ids: tuple[int, ...] = (1, 2)) -> None:
    """Send a session whose slots comment in a ring."""
    emit(session_started, None, SessionStarted("s", slot_ids, NOW))
    for turn in (1, 2, 3):
        for place, slot_id in enumerate(slot_ids):
            voiced(root, turn, slot_id, slot_ids[place - 1] if turn == 2 else None)
        emit(turn_finished, None, TurnFinished("s", turn, slot_ids, NOW))
    emit(session_finished, None, SessionFinished("s", slot_ids, NOW))


def count_loads(monkeypatch: pytest.MonkeyPatch) -> list[steps.Step]:
    """Return a list to which each step is added once it is loaded."""
    loaded: list[steps.Step] = []

    def load(step: steps.Step, *rest: Any) -> Any:
        tracks = steps.load(step, *rest)
        loaded.append(step)
        return tracks

    monkeypatch.setattr(players, "load", load)
    return loaded


def heard(file: Path) -> npt.NDArray[Any]:
    """Return what was written, from the first sample that is not 0 on."""
    y, rate = soundfile.read(file, always_2d=True)
    assert RATE == rate
    begun = np.flatnonzero(np.abs(y).max(axis=1))
    return np.asarray(y[begun[0] :] if begun.size else y[:0])


def test_it_keeps_the_contract_of_a_plugin(tmp_path: Path) -> None:
    """Threads, tasks, files and receivers are gone when it stops, and nothing is slow."""
    check_contract(plugin, tmp_path, file=tmp_path / "all.wav", late_s=0.5)


async def test_a_session_is_played_in_order_without_a_gap(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both of turn 1 together, then comment and reply of each dialogue, at exact samples."""
    loaded = count_loads(monkeypatch)
    async with playing(tmp_path, file) as (player, _):
        await becomes(lambda: player.output is not None, "it is open")
        session(tmp_path)
        await becomes(lambda: len(loaded) == 5 and player.waiting == 0, "the last is begun")
        await becomes(lambda: not player.playing, "it is over")
        assert 0 == player.skipped

    y = heard(file)
    expected = [  # of each step: seconds, and the level in both channels
        (SECONDS[1], 0.22, 0.24),
        (SECONDS[2], 0, 0.44),
        (SECONDS[3], 0.62, 0),
        (SECONDS[2], 0.42, 0),
        (SECONDS[3], 0, 0.64),
    ]
    first = -1  # the fade begins with a sample of 0
    for seconds, *levels in expected:
        last = first + round(seconds * RATE)
        middle = y[first + 200 : last - 200, :2]
        np.testing.assert_allclose(3 * 0.1 * np.array(levels), middle.max(axis=0), atol=0.005)
        assert np.abs(y[last - 80 : last - 5, :2]).max() > 0.001
        first = last + round(PAUSE_S * RATE)
        assert np.abs(y[last + 20 : first, :2]).max() < 0.01  # what is left is of the DC block
    assert 0 == np.abs(y[:, 2:]).max()
    assert np.abs(np.diff(y, axis=0)).max() < 0.03  # nowhere a step


async def test_a_step_waits_for_a_test_signal(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins a pause after the signal, which may be ended early, and lets no other begin."""
    loaded = count_loads(monkeypatch)
    async with playing(tmp_path, file) as (player, _):
        await becomes(lambda: player.output is not None, "it is open")
        assert player.check
        assert player.output
        mixer, check = player.output.mixer, player.check
        assert check is player.test_signals()
        check.start(3, Signal.SWEEP, -20, b"")
        session(tmp_path)
        await becomes(lambda: player.waiting >= 4, "they wait")
        with pytest.raises(OutputError, match=BUSY):
            player.test_signals()
        until_s = mixer.position + RATE
        await becomes(lambda: mixer.position > until_s, "a second passes")
        assert (5, []) == (player.waiting, loaded)
        check.stop()
        await becomes(lambda: len(loaded) == 5 and player.waiting == 0, "the last is begun")
        await becomes(lambda: not player.playing, "it is over")
        assert check is player.test_signals()
        assert 0 == player.skipped
        group = check.latest

    y, _ = soundfile.read(file)
    assert group
    assert group.end < group.start + 20 * RATE
    assert np.abs(y[group.end - 4 * RATE // 100 : group.end, 2]).max() > 0.001
    first = np.flatnonzero(y[:, 0])[0]
    assert first >= group.end + round(PAUSE_S * RATE)


async def test_a_step_that_waits_for_too_long_for_a_test_signal_is_skipped(
    tmp_path: Path, file: Path
) -> None:
    """As for any wait."""
    async with playing(tmp_path, file, late_s=0.2) as (player, _):
        await becomes(lambda: player.output is not None, "it is open")
        assert player.check
        player.check.start(3, Signal.SWEEP, -20, b"")
        session(tmp_path)
        await becomes(lambda: player.skipped == 5, "they are skipped")


async def test_a_stop_ends_a_test_signal_for_good(tmp_path: Path, file: Path) -> None:
    """What comes after the release does not wait for its end."""
    async with playing(tmp_path, file) as (player, _):
        await becomes(lambda: player.output is not None, "it is open")
        assert player.check
        assert player.output
        player.check.start(3, Signal.SWEEP, -20, b"")
        player.stop()
        player.release()
        session(tmp_path)
        await becomes(lambda: player.output.mixer.levels()[0] > 0.05, "it is heard")  # type: ignore[union-attr]
        assert player.output.mixer.position < 20 * RATE


async def test_what_comes_while_it_is_stopped_is_never_played(tmp_path: Path, file: Path) -> None:
    """Silent within 50 ms; after the release only what is new is heard."""
    async with playing(tmp_path, file) as (player, board):
        await becomes(lambda: player.output is not None, "it is open")
        assert player.output
        mixer = player.output.mixer
        session(tmp_path)
        await becomes(lambda: max(mixer.levels()) > 0.05, "it is heard")
        player.stop()
        assert not player.playing
        stopped_at = mixer.position
        await becomes(lambda: mixer.position > stopped_at + RATE, "time passes")
        said = PluginStatus("degraded", STOPPED)
        await becomes(lambda: board.get("playback") == said, "it is said")
        player.release()
        assert not player.playing
        released_at = mixer.position
        await becomes(lambda: mixer.position > released_at + RATE, "time passes")
        assert 0 == player.waiting
        assert player.skipped >= 2
        voiced(tmp_path, 1, 3)
        emit(turn_finished, None, TurnFinished("s", 1, (3,), NOW))
        await becomes(lambda: max(mixer.levels()) > 0.05, "it is heard")
        last_at = mixer.position

    y, _ = soundfile.read(file)
    assert np.abs(y[:stopped_at]).max() > 0.05
    assert 0 == np.abs(y[stopped_at + round(0.05 * RATE) : released_at + RATE]).max()
    assert np.abs(y[released_at + RATE : last_at, 2]).max() > 0.05


async def test_a_stop_outlives_the_server(tmp_path: Path, file: Path) -> None:
    """Started again it is silent still, until it is released; then a further start plays."""
    async with playing(tmp_path, file) as (player, _):
        player.stop()
    async with playing(tmp_path, file) as (player, _):
        assert player.stopped
        silent = lambda: player.output is not None and player.output.mixer.stopped  # noqa: E731
        await becomes(silent, "it is open, and silent")
        player.release()
    async with playing(tmp_path, file) as (player, _):
        assert not player.stopped


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no SIGUSR1")
async def test_sigusr1_stops_it(tmp_path: Path, file: Path) -> None:
    """The handler is that of before when the plugin has stopped."""
    before = signal.getsignal(signal.SIGUSR1)
    async with playing(tmp_path, file) as (player, _):
        os.kill(os.getpid(), signal.SIGUSR1)
        await becomes(lambda: player.stopped, "it is stopped")

    assert before == signal.getsignal(signal.SIGUSR1)


class Card(WavFile):
    """A sound card as the player sees it."""

    latency_s = 0.1


def cards(
    monkeypatch: pytest.MonkeyPatch, file: Path, faults: list[Exception | None]
) -> list[Card]:
    """Put cards in the place of the file; opening the first of them fails, once for each fault."""
    opened: list[Card] = []

    def open_card(path: Path, mixer: Mixer, *, continues: bool) -> Card:
        fault = faults.pop(0) if faults else None
        if fault:
            raise fault
        opened.append(Card(file.with_name(f"{len(opened)}.wav"), mixer))
        return opened[-1]

    monkeypatch.setattr("plugins.playback.output.WavFile", open_card)
    monkeypatch.setattr(players, "RETRY_S", 0.02)
    return opened


async def test_a_card_that_is_not_there_is_said_and_tried_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is ready meanwhile is played once it comes, unless that was too long ago."""
    faults: list[Exception | None] = [OutputError("no card")] * 1_000_000
    opened = cards(monkeypatch, file, faults)
    async with playing(tmp_path, file) as (player, board):

        def reason() -> str:
            status = board.get("playback")
            return status.reason if status else ""

        with capture_logs() as logs:
            await becomes(lambda: reason() == "no card", "it is said")
            left = len(faults) - 3
            await becomes(lambda: len(faults) < left, "it is tried several times")
        said = [entry for entry in logs if entry["log_level"] == "warning"]
        assert [("nothing is played", "no card")] == [(one["event"], one["reason"]) for one in said]
        session(tmp_path)
        await becomes(lambda: player.waiting == 5, "they wait")
        faults.clear()
        await becomes(lambda: bool(opened) and max(opened[0].mixer.levels()) > 0.05, "it plays")
        await becomes(lambda: reason() == "", "it is well")

    assert 0 == player.skipped


async def test_what_is_late_is_skipped_and_not_piled_up(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a card for longer than that, everything is."""
    cards(monkeypatch, file, [OutputError("no card")] * 1_000_000)
    async with playing(tmp_path, file, late_s=0.2) as (player, _):
        session(tmp_path)
        await becomes(lambda: player.skipped == 5, "they are skipped")
        assert 0 == player.waiting


async def test_waiting_for_its_own_session_is_not_late(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session plays for longer than `late_s`, and all of it is heard."""
    loaded = count_loads(monkeypatch)
    async with playing(tmp_path, file, late_s=2, pause_s=0.7) as (player, _):
        await becomes(lambda: player.output is not None, "it is open")
        session(tmp_path)
        await becomes(lambda: len(loaded) + player.skipped == 5, "each is loaded or skipped")
        assert 0 == player.skipped


async def test_a_step_that_cannot_be_loaded_ends_nothing(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A payload of another maker may say anything; it is logged, and the next one is played."""
    refused: list[object] = []

    def load(step: Any, *rest: Any) -> Any:
        if not refused:
            refused.append(step)
            raise ValueError("no such dish")
        return steps.load(step, *rest)

    monkeypatch.setattr(players, "load", load)
    async with playing(tmp_path, file) as (player, _):
        await becomes(lambda: player.output is not None, "it is open")
        assert player.output
        mixer = player.output.mixer
        with capture_logs() as logs:
            session(tmp_path)
            await becomes(lambda: max(mixer.levels()) > 0.05, "the second is heard")

    assert ["a step cannot be played"] == [entry["event"] for entry in logs]


async def test_a_profile_that_is_not_made_is_said_once(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is installed, so the file is right; but RR_WAVES_PROFILES does not name it."""
    dishes = tmp_path / "dishes.toml"
    dishes.write_text('[[channel]]\nname = "a"\nplays = ["slot 1", "slot 1 faraday"]\n', "utf-8")
    loaded = count_loads(monkeypatch)
    with capture_logs() as logs:
        async with playing(tmp_path, file, dishes=dishes) as (player, _):
            await becomes(lambda: player.output is not None, "it is open")
            session(tmp_path)
            await becomes(lambda: len(loaded) == 5 and player.waiting == 0, "all are begun")

    (said,) = [entry for entry in logs if "profile" in entry]
    assert ("warning", "a", "faraday") == (said["log_level"], said["channel"], said["profile"])
    assert "RR_WAVES_PROFILES" in said["event"]


async def test_an_output_that_fails_in_another_way_is_tried_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows every driver."""
    opened = cards(monkeypatch, file, [RuntimeError("driver")])
    async with playing(tmp_path, file) as (player, _):
        await becomes(lambda: len(opened) == 1 and player.problem == "", "it is open, and well")


async def test_a_card_that_is_unplugged_is_opened_again(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the session is played by the new one."""
    opened = cards(monkeypatch, file, [])
    async with playing(tmp_path, file) as (player, board):
        await becomes(lambda: player.output is not None, "it is open")
        session(tmp_path)
        await becomes(lambda: max(opened[0].mixer.levels()) > 0.05, "it is heard")
        with capture_logs() as logs:
            opened[0].problem = "unplugged"
            await becomes(lambda: len(opened) == 2, "it is opened again")
        assert ["unplugged"] == [one["reason"] for one in logs if one["log_level"] == "warning"]
        await becomes(lambda: max(opened[1].mixer.levels()) > 0.05, "the rest is heard")
        status = board.get("playback")

    assert status
    assert "unplugged" not in status.reason


async def test_a_card_that_holds_much_is_closed_for_a_stop(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it holds would be heard for longer; the one that is opened again is silent."""
    opened = cards(monkeypatch, file, [])
    async with playing(tmp_path, file) as (player, _):
        await becomes(lambda: player.output is not None, "it is open")
        player.stop()
        assert opened[0]._closing.is_set()
        silent = lambda: len(opened) == 2 and opened[1].mixer.stopped  # noqa: E731
        await becomes(silent, "it is opened again, and silent")
        player.release()
        assert not opened[1].mixer.stopped


async def test_a_long_line_of_steps_loses_its_oldest(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory has a limit."""
    monkeypatch.setattr(players, "MAX_WAITING", 2)
    cards(monkeypatch, file, [OutputError("no card")] * 1_000_000)
    async with playing(tmp_path, file) as (player, _):
        session(tmp_path)
        await becomes(lambda: player.skipped == 3, "they are dropped")
        assert 2 == player.waiting


async def test_a_wrong_dishes_toml_is_an_error_of_the_start(tmp_path: Path, file: Path) -> None:
    """With the entry, in words."""
    dishes = tmp_path / "dishes.toml"
    dishes.write_text('[[channel]]\nname = "a"\nlevel_db = 99\n', "utf-8")

    with pytest.raises(SettingsError, match="level_db = 99: must be a number from -80 to 24"):
        async with playing(tmp_path, file, dishes=dishes):
            pass


def test_routes_show_stop_and_release(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They answer how it is; without the plugin they say so."""
    file.parent.mkdir()
    for name, value in {"ENABLED": "true", "FILE": str(file), "RATE": str(RATE)}.items():
        monkeypatch.setenv(f"RR_PLAYBACK_{name}", value)
    app = create_app(Settings(artifacts_dir=tmp_path / "a"))
    with LiveServer(app) as server, server.client() as client:
        until(lambda: bool(client.get("/v1/playback").json()["output"]), "it is open")
        state = client.get("/v1/playback").json()
        stopped = client.post("/v1/playback/stop").json()
        released = client.post("/v1/playback/release").json()

    assert (str(file), RATE, False, "") == tuple(
        state[key] for key in ("output", "rate", "stopped", "problem")
    )
    assert [("dish 1", 0.0), ("dish 2", 0.0)] == [
        (one["name"], one["peak"]) for one in state["channels"][:2]
    ]
    assert [True, False] == [stopped["stopped"], released["stopped"]]
    assert outputs.HEADER_BYTES < file.stat().st_size
