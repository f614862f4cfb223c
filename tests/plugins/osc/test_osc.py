"""OSC as a patch hears it: real datagrams on real sockets."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Self

import numpy as np
import pytest
import soundfile as sf
from pydantic import ValidationError
from pythonosc.osc_bundle import OscBundle
from structlog.testing import capture_logs

from backend.config import Settings
from backend.http.app import create_app
from backend.signals import SessionStarted, emit, session_started, tts_written
from plugins.osc.settings import OscSettings
from plugins.osc.target import Target
from plugins.waves.signals import waves_written
from tests.live import LiveServer, chat
from tests.patience import LIMIT_S
from tests.plugins.show.listening import STAND_IN, found, on_loop, simulating
from tests.simulated import NOW, done, play, spoken, write_waves

Message = tuple[str, str, list[Any]]
FIGURES = (("file", ",s"), ("info", ",iiff"))


class Ear:
    """A UDP socket that takes bundles apart."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(LIMIT_S)
        self.target = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def hear(self) -> list[Message]:
        """Return the messages of the next bundle."""
        datagram = self._socket.recv(65_536)
        assert OscBundle.dgram_is_bundle(datagram)
        return [(m.address, tags(m.dgram), m.params) for m in OscBundle(datagram)]

    def hear_until(self, address: str) -> list[list[Message]]:
        """Return the bundles up to and with the first one that ends in `address`, no heartbeats."""
        heard: list[list[Message]] = []
        deadline = monotonic() + LIMIT_S
        while not heard or heard[-1][-1][0] != address:
            assert monotonic() < deadline, f"no {address} came"
            bundle = self.hear()
            if bundle[0][0] != "/rr/heartbeat":
                heard.append(bundle)
        return heard


def tags(datagram: bytes) -> str:
    """Return the type tags of a message as they stand in it."""
    return datagram[datagram.index(b",") :].split(b"\0")[0].decode()


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Ear]]:
    """Return two targets; OSC is switched on for them."""
    with Ear() as one, Ear() as two:
        monkeypatch.setenv("RR_OSC_ENABLED", "true")
        monkeypatch.setenv("RR_OSC_TARGETS", f"{one.target}, {two.target}")
        monkeypatch.setenv("RR_OSC_HEARTBEAT_S", "60")
        yield [one, two]


@pytest.fixture
def nobody() -> Iterator[str]:
    """Return a target where nobody listens, and nobody will: the port is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.connect(("127.0.0.1", 9))  # what comes from elsewhere is refused
        yield f"127.0.0.1:{deaf.getsockname()[1]}"


@pytest.mark.e2e
def test_a_real_session_is_heard_by_every_target(ears: list[Ear], tmp_path: Path) -> None:
    """One bundle per utterance, files and figures first, then turns and the session."""
    app = create_app(Settings(artifacts_dir=tmp_path, seed=1), found("waves", "osc"))
    with LiveServer(app) as live:
        events = chat(live, 1, 2)
        heard = [ear.hear_until("/rr/session/ready") for ear in ears]
    session_id = events[0][1]["sessionId"]

    assert heard[0] == heard[1]
    utterances = [bundle for bundle in heard[0] if "/slot/" in bundle[0][0]]
    spoken_by = [data["slotId"] for name, data in events if name == "slot.audio"]
    assert sorted(spoken_by) == sorted(int(b[0][0].split("/")[3]) for b in utterances)
    for bundle in utterances:
        slot = bundle[0][0].removesuffix("/wave/1/file")
        assert [
            *((f"{slot}/wave/{n}/{what}", t) for n in (1, 2, 3) for what, t in FIGURES),
            *((f"{slot}/wave/{n}/ready", ",i") for n in (1, 2, 3)),
        ] == [(address, typed) for address, typed, _ in bundle]
        for number in (0, 2, 4):
            path, figures = Path(bundle[number][2][0]), bundle[number + 1][2]
            samples, rate = sf.read(path)
            assert path.is_absolute()
            assert path.parent.name == f"turn_{figures[0]}"
            assert round(len(samples) * 1000 / rate) == figures[1]
            peak, rms = np.max(np.abs(samples)), np.sqrt(np.mean(samples**2))
            assert [peak, rms] == pytest.approx(figures[2:], abs=1e-6)
        assert {bundle[1][2][0]} == {message[2][0] for message in bundle[-3:]}
    turns = [bundle[0] for bundle in heard[0] if bundle[0][0] == "/rr/turn/ready"]
    assert [("/rr/turn/ready", ",iii", [turn, 2, 0]) for turn in (1, 2, 3)] == turns
    assert [
        ("/rr/session/id", ",s", [session_id]),
        ("/rr/session/ready", ",ii", [6, 0]),
    ] == heard[0][-1]


def test_heartbeats_are_counted(ears: list[Ear], tmp_path: Path, monkeypatch: Any) -> None:
    """From 1, one by one, to every target."""
    monkeypatch.setenv("RR_OSC_HEARTBEAT_S", "0.1")
    with simulating(tmp_path, [STAND_IN, *found("osc")]):
        for ear in ears:
            assert [[("/rr/heartbeat", ",i", [n])] for n in (1, 2, 3)] == [
                ear.hear() for _ in range(3)
            ]


def test_one_target_that_fails_is_alone(
    ears: list[Ear], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody: str
) -> None:
    """One without a listener, or that cannot be found, costs the other nothing, and is shown."""
    look_up = asyncio.BaseEventLoop.getaddrinfo

    async def look_up_at_once(
        loop: asyncio.BaseEventLoop, host: str, port: int, **options: Any
    ) -> Any:
        """Answer as a network does whose name server knows the name not to exist."""
        if host == "nowhere.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return await look_up(loop, host, port, **options)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up_at_once)
    targets = [nobody, "nowhere.invalid:7000", "a..b:7000", ears[0].target]
    monkeypatch.setenv("RR_OSC_TARGETS", ",".join(targets))
    with simulating(tmp_path, [STAND_IN, *found("osc")]) as live:
        on_loop(live, lambda: play("s", tmp_path))
        heard = ears[0].hear_until("/rr/session/ready")
        with live.client() as client:
            state = client.get("/v1/health/ready").json()["plugins"]["osc"]

    assert 6 + 3 + 1 == len(heard)
    assert "degraded" == state["state"]
    assert state["reason"].startswith("nowhere.invalid:7000 cannot be found")
    assert "; a..b:7000 cannot be found" in state["reason"]


def test_what_is_made_up_for_is_not_sent(ears: list[Ear], tmp_path: Path) -> None:
    """Waves of a visitor who left are silent, incomplete ones passed over, the rest is heard."""

    def happen() -> None:
        old, torn = spoken("old", 1, 1, root=tmp_path), spoken("s0", 1, 2, root=tmp_path)
        emit(waves_written, None, done(old, write_waves(old, tmp_path), backfill=True))
        emit(session_started, None, SessionStarted("s0", (2,), NOW))
        emit(tts_written, None, torn)
        emit(waves_written, None, done(torn, (tmp_path / "none.wav",)))
        play("s", tmp_path, (4,))

    with simulating(tmp_path, [STAND_IN, *found("osc")]) as live:
        on_loop(live, happen)
        heard = ears[0].hear_until("/rr/session/ready")

    assert {"4"} == {b[0][0].split("/")[3] for b in heard if "/slot/" in b[0][0]}


async def test_a_datagram_that_cannot_be_sent_is_dropped() -> None:
    """One that is too large is logged once; the next that fits is sent, and that is logged."""
    with Ear() as ear, capture_logs() as logs:
        target = Target("127.0.0.1", int(ear.target.rpartition(":")[2]))

        target.find()
        await target.found(LIMIT_S)
        target.send(b"x" * 70_000)
        target.send(b"x" * 70_000)
        problem = target.problem
        target.send(b"#bundle\0" + bytes(8))
        target.close()
        target.send(b"after the end")

        assert [] == ear.hear()

    assert problem.startswith(f"{ear.target} cannot be reached")
    assert "" == target.problem
    assert ["warning", "info"] == [log["log_level"] for log in logs]
    assert 1 == target.sent


@pytest.mark.parametrize(
    "targets",
    [
        "127.0.0.1",
        ":7000",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "a:b",
        "::1:7000",
        "a:²",
    ],
)
def test_wrong_targets_are_named(targets: str) -> None:
    """A target is a host and a port; anything else is said to be none, with what it should be."""
    with pytest.raises(ValidationError, match="is not a target: write it like 127"):
        OscSettings(targets=targets)


def test_right_targets() -> None:
    """Names, IPv4 and IPv6 addresses are taken, spaces and empty parts are not minded."""
    given = "a.local:7000, 127.0.0.1:9000,,[::1]:7000"

    settings = OscSettings(enabled=True, targets=given)

    assert ("a.local:7000", "127.0.0.1:9000", "[::1]:7000") == settings.targets


def test_it_is_off_by_default_and_needs_a_target() -> None:
    """Nothing is sent unless it is switched on, and that needs somebody to send to."""
    assert not OscSettings().enabled
    with pytest.raises(ValidationError, match="RR_OSC_ENABLED=true needs RR_OSC_TARGETS"):
        OscSettings(enabled=True)
