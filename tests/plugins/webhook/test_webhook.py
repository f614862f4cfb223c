"""Webhooks as a receiver gets them: real requests to a real server on loopback."""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from backend.errors import PluginError
from backend.plugins import Host
from backend.signals import TurnFinished, emit, tts_written, turn_finished
from backend.storage import Artifacts
from plugins.webhook import plugin
from plugins.webhook.settings import WebhookSettings
from tests import readme
from tests.command import free_port
from tests.patience import LIMIT_S, SOON_S, until
from tests.plugins.webhook.receiver import SECRET, Receiver
from tests.simulated import NOW, play, spoken


class States(list[tuple[str, str]]):
    """How the plugin said that it is, in order."""

    def report(self, state: Any, reason: str) -> None:
        """Do what `Host.report` does."""
        self.append((state, reason))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(plugin, "POLICY", replace(plugin.POLICY, pause_s=0.001))


@asynccontextmanager
async def posting(root: Path, *urls: str, **settings: Any) -> AsyncIterator[tuple[Host, States]]:
    """Run the plugin; yield its host, and how it says that it is."""
    states = States()
    host = Host(Artifacts(root), states.report, "webhook")
    given = WebhookSettings(enabled=True, urls=urls, secret=SECRET, **settings)
    async with plugin.lifespan(host, given):
        yield host, states


async def came(receiver: Receiver, count: int) -> None:
    """Wait until a receiver has got so many requests."""
    await asyncio.to_thread(until, lambda: len(receiver.deliveries) >= count, f"{count} requests")


async def test_a_receiver_can_verify_what_comes(tmp_path: Path) -> None:
    """A session's utterances, turns, waves and end, each signed with an id of its own, no words."""
    with Receiver() as receiver:
        async with posting(tmp_path, receiver.url) as (_, states):
            play("s", tmp_path)
            await came(receiver, 16)

    messages = [one.verified() for one in receiver.deliveries]
    assert Counter(one["type"] for one in messages) == Counter(
        tts_written=6, waves_written=6, turn_finished=3, session_finished=1
    )
    assert 16 == len({one.id for one in receiver.deliveries})
    assert ["tts_written", "waves_written"] == [one["type"] for one in messages[:2]]
    assert messages[0]["data"]["wav_path"].startswith("tts/sessions/s/turn_1/")
    assert not any(b"Water." in one.body for one in receiver.deliveries)
    assert {("ok", "")} == set(states)


async def test_the_check_of_the_readme_finds_what_is_forged(tmp_path: Path) -> None:
    """What came is genuine, with another body or another secret it is not."""
    check: dict[str, Any] = {}
    text = (readme.ROOT / "plugins/webhook/README.md").read_text("utf-8")
    exec(text.partition("# check.py\n")[2].partition("```")[0], check)
    with Receiver() as receiver:
        async with posting(tmp_path, receiver.url):
            emit(turn_finished, None, TurnFinished("s", 1, (1,), NOW))
            await came(receiver, 1)
    came_in, other = receiver.deliveries[0], f"whsec_{'A' * 44}"

    assert check["is_genuine"](SECRET, came_in.headers, came_in.body)
    assert not check["is_genuine"](SECRET, came_in.headers, came_in.body + b" ")
    assert not check["is_genuine"](other, came_in.headers, came_in.body)


async def test_words_are_posted_where_that_is_asked_for(tmp_path: Path) -> None:
    """`RR_WEBHOOK_TEXTS` lets them through, and only the chosen signals come."""
    with Receiver() as receiver:
        async with posting(tmp_path, receiver.url, signals=("tts_written",), texts=True):
            play("s", tmp_path)
            await came(receiver, 6)

    assert 6 == len(receiver.deliveries)
    assert {"Water."} == {one.verified()["data"]["text"] for one in receiver.deliveries}


async def test_a_failure_that_may_pass_is_tried_again(tmp_path: Path) -> None:
    """Twice 503, then taken: the id stays, so that a receiver can tell; the state follows."""
    with Receiver(lambda number: 503 if number < 3 else 200) as receiver:
        async with posting(tmp_path, receiver.url) as (_, states):
            emit(turn_finished, None, TurnFinished("s", 1, (1,), NOW))
            await came(receiver, 3)
            await asyncio.to_thread(until, lambda: states[-1:] == [("ok", "")], "it is ok again")

    assert 3 == len(receiver.deliveries)
    assert 1 == len({one.id for one in receiver.deliveries})
    assert 1 == len({str(one.verified()) for one in receiver.deliveries})
    assert ("degraded", "127.0.0.1 answers 503") in states


@pytest.mark.parametrize("status", [302, 307, 400, 410])
async def test_a_refusal_is_final_and_no_redirect_is_followed(status: int, tmp_path: Path) -> None:
    """The body goes nowhere that no setting names; the next signal is posted all the same."""
    with Receiver() as elsewhere, Receiver(lambda n: status if n == 1 else 200) as receiver:
        receiver.location = elsewhere.url
        async with posting(tmp_path, receiver.url) as (_, states):
            for turn in (1, 2):
                emit(turn_finished, None, TurnFinished("s", turn, (1,), NOW))
            await came(receiver, 2)

    assert [1, 2] == [one.verified()["data"]["turn_index"] for one in receiver.deliveries]
    assert [] == elsewhere.deliveries
    assert ("degraded", f"127.0.0.1 answers {status}") == states[0]


@pytest.mark.e2e
async def test_a_url_that_is_away_or_hangs_delays_no_other(tmp_path: Path) -> None:
    """All of a session arrives where it can; the reason names who does not answer."""
    away = f"http://127.0.0.1:{free_port()}/"
    with Receiver() as hanging, Receiver() as receiver:
        hanging.released.clear()
        async with posting(tmp_path, away, hanging.url, receiver.url) as (_, states):
            play("s", tmp_path)
            await came(receiver, 16)
            await came(hanging, 1)
            began = monotonic()
        stopped_after_s = monotonic() - began

    assert 1 == len(hanging.deliveries)
    assert ("degraded", "127.0.0.1 does not answer (ConnectError)") in states
    assert stopped_after_s < SOON_S


@pytest.mark.e2e
async def test_a_receiver_that_hangs_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt has a limit, and so has a delivery; then comes the next one."""
    monkeypatch.setattr(plugin, "ATTEMPT_LIMIT_S", 0.05)
    monkeypatch.setattr(plugin, "POLICY", replace(plugin.POLICY, retries=1))
    with Receiver() as receiver, capture_logs() as logs:
        receiver.released.clear()
        async with posting(tmp_path, receiver.url):
            for turn in (1, 2):
                emit(turn_finished, None, TurnFinished("s", turn, (1,), NOW))
            await asyncio.to_thread(until, lambda: 2 == len(given_up(logs)), "both given up")

    assert {"127.0.0.1 does not answer (TimeoutError)"} == set(given_up(logs))


def given_up(logs: list[Any]) -> list[str]:
    """Return why deliveries were given up."""
    return [log["reason"] for log in logs if "not posted" == log["event"]]


@pytest.mark.e2e
async def test_a_flood_is_bounded_and_costs_the_sender_little(tmp_path: Path) -> None:
    """Where nothing is taken, 10,000 wait and the rest is dropped and counted."""
    with Receiver() as receiver, capture_logs():
        receiver.released.clear()
        async with posting(tmp_path, receiver.url) as (host, _):
            began = monotonic()
            for _ in range(12_000):
                emit(tts_written, None, spoken("s", 1, 1))
            emitting_s = monotonic() - began
            await asyncio.sleep(0)
            figures = {gauge.name: gauge.read() for gauge in host.board.gauges}

    assert 10_000 == figures["queue_depth_1"]
    assert 2_000 == figures["queue_dropped_1"]
    assert emitting_s / 12_000 < 0.005


async def test_a_signal_of_another_thread_is_posted_too(tmp_path: Path) -> None:
    """Other makers' plugins may send theirs wherever they like."""
    with Receiver() as receiver:
        async with posting(tmp_path, receiver.url):
            event = TurnFinished("s", 1, (1,), NOW)
            sender = threading.Thread(target=emit, args=(turn_finished, None, event))
            sender.start()
            await came(receiver, 1)
            await asyncio.to_thread(sender.join, LIMIT_S)

    assert "turn_finished" == receiver.deliveries[0].verified()["type"]


async def test_what_is_too_long_is_not_posted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named in the log, and what comes after it is posted."""
    monkeypatch.setattr(plugin, "MAX_BODY_BYTES", 600)
    with Receiver() as receiver, capture_logs() as logs:
        async with posting(tmp_path, receiver.url, texts=True):
            emit(tts_written, None, replace(spoken("s", 1, 1), text="x" * 1000))
            emit(turn_finished, None, TurnFinished("s", 1, (1,), NOW))
            await came(receiver, 1)

    assert ["turn_finished"] == [one.verified()["type"] for one in receiver.deliveries]
    assert "are more than 600" in next(log["reason"] for log in logs)


async def test_a_signal_that_is_not_defined_is_named(tmp_path: Path) -> None:
    """Nobody waits for what never comes."""
    told = "RR_WEBHOOK_SIGNALS: no plugin that runs has a signal called tides; there are .*turn_fin"
    with pytest.raises(PluginError, match=told):
        async with posting(tmp_path, "http://127.0.0.1:9/", signals=("tides", "tts_written")):
            pass


@pytest.mark.parametrize(
    "wrong", [{"urls": ()}, {"secret": ""}, {"secret": "abc"}, {"urls": ("ftp://a",)}]
)
def test_wrong_settings_are_refused(wrong: dict[str, Any]) -> None:
    """It posts nothing unsigned, and nowhere that is no web address; off it needs neither."""
    given: dict[str, Any] = {"urls": ("https://a.org/hook",), "secret": SECRET, **wrong}

    with pytest.raises(ValidationError, match=r"needs RR_WEBHOOK_URLS|URL scheme should be"):
        WebhookSettings(enabled=True, **given)
    assert not WebhookSettings().enabled
