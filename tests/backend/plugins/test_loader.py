"""The plugin contract: found, chosen, started in order, stopped in reverse, never fatal."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, MutableMapping
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import EntryPoint, version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from pydantic_settings import SettingsConfigDict
from structlog.testing import capture_logs

from backend.errors import PluginError, SettingsError
from backend.plugins import (
    Discovered,
    Host,
    Plugin,
    PluginSettings,
    PluginStatus,
    PluginStatuses,
    discover,
    enabled,
    running,
)
from backend.plugins import switches as plugins
from backend.plugins.loader import GROUP
from backend.signals import EVENT_LOOP, define, emit
from backend.storage import Artifacts
from tests.patience import LIMIT_S

tested = define("loader_test", str, "For tests.", sender="tests", thread=EVENT_LOOP)


class Strict(PluginSettings):
    """Settings that cannot be read without a variable nobody sets."""

    needed: int


class Off(PluginSettings):
    """Settings of a plugin that is off unless it is switched on."""

    enabled: bool = False


def recording(name: str, journal: list[str], *, fail_at: str = "", order: int = 100) -> Discovered:
    """Return a plugin that writes down its start and stop, and may fail at either."""

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        if fail_at == "start":
            raise RuntimeError("no cable")
        journal.append(f"start {name}")
        yield
        journal.append(f"stop {name}")
        if fail_at == "stop":
            raise RuntimeError("no cable")

    return Discovered(name, Plugin(name, PluginSettings, lifespan, order=order))


async def run(found: list[Discovered], tmp_path: Path) -> PluginStatuses:
    """Choose, start and stop plugins; return their states as they were while running."""
    board = PluginStatuses()
    seen = PluginStatuses()
    async with running(enabled(found, board), board, Artifacts(tmp_path)):
        for name, status in board:
            seen.set(name, status.state, status.reason)
    return seen


async def test_stopping_is_starting_reversed(tmp_path: Path) -> None:
    """Plugins stop in the reverse of the order in which they start."""
    journal: list[str] = []

    await run([recording(name, journal) for name in "abc"], tmp_path)

    assert ["start a", "start b", "start c", "stop c", "stop b", "stop a"] == journal


@pytest.mark.parametrize("fail_at", ["start", "stop"])
async def test_a_failing_plugin_is_logged_and_the_others_run(tmp_path: Path, fail_at: str) -> None:
    """A plugin that raises at start or stop is named in the log; the rest start and stop."""
    journal: list[str] = []
    found = [recording("bad", journal, fail_at=fail_at), recording("good", journal)]

    with capture_logs() as logs:
        board = await run(found, tmp_path)

    assert {"start good", "stop good"} <= set(journal)
    assert ["bad"] == [entry["plugin"] for entry in logs if entry["log_level"] == "error"]
    assert PluginStatus("ok") == board.get("good")
    if fail_at == "start":
        assert PluginStatus("failed", "RuntimeError: no cable") == board.get("bad")


async def test_wrong_settings_of_a_plugin_are_words_without_a_traceback(tmp_path: Path) -> None:
    """As those of a file that it reads at its start; the reason is whole, each line of it."""
    words = "\n".join(f"dishes.toml, line {n}: level_db = 99: must be less" for n in range(9))

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        if words:
            raise SettingsError(words)
        yield

    with capture_logs() as logs:
        board = await run([Discovered("bad", Plugin("bad", PluginSettings, lifespan))], tmp_path)

    (said,) = [entry for entry in logs if entry["log_level"] == "error"]
    assert (words, False) == (said["reason"], said["exc_info"])
    assert PluginStatus("failed", words) == board.get("bad")


async def test_a_plugin_that_hangs_at_start_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host waits a bounded time for a plugin to start."""
    monkeypatch.setattr(plugins, "START_LIMIT_S", 0.05)

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield

    board = await run([Discovered("slow", Plugin("slow", PluginSettings, lifespan))], tmp_path)
    status = board.get("slow")

    assert status is not None
    assert "failed" == status.state
    assert "TimeoutError" in status.reason


@pytest.mark.parametrize("blocks", [False, True], ids=["waits", "blocks"])
async def test_a_plugin_that_takes_long_to_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: bool
) -> None:
    """The log says which plugin is waited for, also while it blocks the event loop."""
    monkeypatch.setattr(plugins, "START_WARNING_S", 0.01)
    warned = threading.Event()

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        if blocks:
            warned.wait(LIMIT_S)
        else:
            await asyncio.to_thread(warned.wait, LIMIT_S)
        yield

    def warn(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method == "warning":
            warned.set()
        return event

    with capture_logs([warn]) as logs:
        await run([Discovered("slow", Plugin("slow", PluginSettings, lifespan))], tmp_path)

    assert ["slow"] == [entry["plugin"] for entry in logs if entry["log_level"] == "warning"]


async def test_a_plugin_that_hangs_at_stop_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host waits a bounded time for a plugin to stop."""
    monkeypatch.setattr(plugins, "STOP_LIMIT_S", 0.05)

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        yield
        await asyncio.Event().wait()

    async with asyncio.timeout(LIMIT_S):
        await run([Discovered("slow", Plugin("slow", PluginSettings, lifespan))], tmp_path)


async def test_a_disabled_plugin_is_neither_imported_nor_started(tmp_path: Path) -> None:
    """Switched off, only the settings of a plugin are there."""
    found = [Discovered("off", Plugin("off", Off, "no_such_module:lifespan"))]

    board = await run(found, tmp_path)

    assert PluginStatus("disabled", "switched off in the settings") == board.get("off")


async def test_wrong_settings_cost_the_plugin_only(tmp_path: Path) -> None:
    """A plugin whose settings cannot be read is failed, with the reason, and the others start."""
    journal: list[str] = []
    strict = Discovered("strict", Plugin("strict", Strict, "never:imported"))

    board = await run([strict, recording("good", journal)], tmp_path)
    status = board.get("strict")

    assert status is not None
    assert "failed" == status.state
    assert "NEEDED" in status.reason
    assert ["start good", "stop good"] == journal


class Listed(PluginSettings):
    """Settings with a list, which is JSON in the environment."""

    model_config = SettingsConfigDict(env_prefix="RR_LISTED_")
    slots: tuple[int, ...] = ()


def test_a_setting_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that cannot even be parsed is told like every other wrong one."""
    monkeypatch.setenv("RR_LISTED_SLOTS", "1,2")

    with pytest.raises(PluginError, match=r'RR_LISTED_\.\.\.: .*"slots"'):
        Listed.load()


async def test_a_plugin_says_how_it_is(tmp_path: Path) -> None:
    """What a plugin reports stands on the board."""

    @asynccontextmanager
    async def lifespan(host: Host, _: PluginSettings) -> AsyncIterator[None]:
        host.report("degraded", "one lamp is dark")
        yield

    board = await run([Discovered("lamp", Plugin("lamp", PluginSettings, lifespan))], tmp_path)

    assert PluginStatus("degraded", "one lamp is dark") == board.get("lamp")


async def test_gauges_and_services_last_as_long_as_their_plugin(tmp_path: Path) -> None:
    """A running plugin's numbers and its service stand on the board, and go when it stops."""
    board = PluginStatuses()

    @asynccontextmanager
    async def lifespan(host: Host, _: PluginSettings) -> AsyncIterator[str]:
        host.gauge("lit", "Lamps that are lit.", lambda: 3)
        yield "the lamps"

    found = [Discovered("lamp", Plugin("lamp", PluginSettings, lifespan))]
    async with running(enabled(found, board), board, Artifacts(tmp_path)):
        shown = [(gauge.plugin, gauge.name, gauge.doc, gauge.read()) for gauge in board.gauges]
        service = board.service("lamp")

    assert [("lamp", "lit", "Lamps that are lit.", 3)] == shown
    assert "the lamps" == service
    assert ((), None) == (board.gauges, board.service("lamp"))


@pytest.fixture
def module() -> Iterator[Callable[..., EntryPoint]]:
    """Return a function that makes an importable module and the entry point to its `plugin`."""
    made: list[str] = []

    def make(name: str, **content: Any) -> EntryPoint:
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(content)
        made.append(name)
        return EntryPoint(name, f"{name}:plugin", GROUP)

    yield make
    for name in made:
        del sys.modules[name]


def test_discovery_never_raises(module: Callable[..., EntryPoint]) -> None:
    """What cannot be imported, or is no plugin, is found with its problem."""
    fine = Plugin("fine", PluginSettings, "x:y")
    points = [
        EntryPoint("gone", "no_such_module:plugin", GROUP),
        module("exits_like", plugin=42),
        module("fine", plugin=fine),
    ]

    with capture_logs() as logs:
        found = {item.name: item for item in discover(points)}

    assert fine is found["fine"].plugin
    assert "ModuleNotFoundError" in found["gone"].problem
    assert "is of type int, not a backend.plugins.Plugin" in found["exits_like"].problem
    assert {"gone", "exits_like"} == {entry["plugin"] for entry in logs}


class FakePackage(NamedTuple):
    """What an entry point knows of its package."""

    name: str
    version: str


async def test_the_second_plugin_of_a_name_is_not_started(
    module: Callable[..., EntryPoint], tmp_path: Path
) -> None:
    """Two packages with a plugin of one name cannot both run; both are named, once."""
    journal: list[str] = []
    points = []
    for package in (FakePackage("lake", "1.2"), FakePackage("sea", "0.3")):
        point = module(package.name, plugin=recording("tides", journal).plugin)
        vars(point)["dist"] = package
        points.append(point)

    with capture_logs() as logs:
        found = discover(points)
        board = await run(found, tmp_path)

    (problem,) = [entry["problem"] for entry in logs if entry["log_level"] == "error"]
    assert "the packages lake 1.2 and sea 0.3 have a plugin of this name" in problem
    assert [("lake", ""), ("sea", problem)] == [(one.distribution, one.problem) for one in found]
    assert ["start tides", "stop tides"] == journal
    assert PluginStatus("ok") == board.get("tides")


def test_plugins_start_by_order_and_name(module: Callable[..., EntryPoint]) -> None:
    """A plugin that others build on can come first."""
    points = [
        module(name, plugin=Plugin(name, PluginSettings, "x:y", order=order))
        for name, order in (("zebra", 1), ("beta", 100), ("alpha", 100))
    ]

    assert ["zebra", "alpha", "beta"] == [item.name for item in discover(points)]


def test_the_built_in_plugins_come_through_entry_points() -> None:
    """The waves plugin is found the way a third party's is."""
    assert "waves" in {item.name for item in discover()}


async def test_the_plugins_share_their_leases_and_see_who_runs(tmp_path: Path) -> None:
    """What one plugin holds another one sees held; a plugin runs from its start to its stop."""
    hosts: list[Host] = []

    @asynccontextmanager
    async def lifespan(host: Host, _: PluginSettings) -> AsyncIterator[None]:
        hosts.append(host)
        yield

    board = PluginStatuses()
    found = [Discovered(name, Plugin(name, PluginSettings, lifespan)) for name in ("a", "b")]
    async with running(enabled(found, board), board, Artifacts(tmp_path)):
        with hosts[0].leases.held("session"):
            seen = "session" in hosts[1].leases
        during = [board.runs(name) for name in ("a", "b", "c")]

    assert seen
    assert [True, True, False] == during
    assert not board.runs("a")


async def test_receivers_of_plugins_run_in_the_order_of_plugins(tmp_path: Path) -> None:
    """A plugin that starts first is called first, also where it connects after the others."""
    called: list[str] = []
    all_started = asyncio.Event()

    def subscribing(name: str, order: int, *, late: bool) -> Discovered:
        def receive(_: object, *, event: str) -> None:
            called.append(name)

        async def connect(stack: ExitStack) -> None:
            if late:
                await all_started.wait()
            stack.enter_context(tested.connected_to(receive))

        @asynccontextmanager
        async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
            with ExitStack() as stack:
                task = asyncio.create_task(connect(stack))
                if not late:
                    await task
                yield
                await task

        return Discovered(name, Plugin(name, PluginSettings, lifespan, order=order))

    board = PluginStatuses()
    found = [subscribing("a", 1, late=True), *(subscribing(name, 2, late=False) for name in "bc")]
    async with running(enabled(found, board), board, Artifacts(tmp_path)):
        emit(tested, None, "before")
        all_started.set()
        await asyncio.sleep(0)
        emit(tested, None, "after")

    assert ["b", "c", "a", "b", "c"] == called


async def test_the_log_names_the_plugin_of_a_receiver(tmp_path: Path) -> None:
    """Who reads that a receiver failed learns which plugin to switch off."""

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        with tested.connected_to(lambda _: None):
            yield

    board = PluginStatuses()
    found = [Discovered("tides", Plugin("tides", PluginSettings, lifespan))]
    with capture_logs() as logs:
        async with running(enabled(found, board), board, Artifacts(tmp_path)):
            emit(tested, None, "tide")
            await asyncio.sleep(0)

    failed = [entry["plugin"] for entry in logs if entry["event"] == "receiver failed"]
    assert ["tides"] == failed


@pytest.mark.parametrize(
    ("listens", "missing"),
    [
        (("loader_test", "tts_written"), None),
        (("tts_written",), ["loader_test"]),
        (lambda _: (), ["loader_test"]),
        (None, None),
        (lambda: (), "TypeError"),
    ],
    ids=["told", "missing", "function", "undeclared", "wrong"],
)
async def test_the_log_names_signals_that_a_plugin_does_not_tell_of(
    listens: Any, missing: Any, tmp_path: Path
) -> None:
    """What a plugin listens to is compared with its `listens`, if it has any; it runs anyway."""

    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        with tested.connected_to(print):
            yield

    found = [Discovered("a", Plugin("a", PluginSettings, lifespan, listens=listens))]
    with capture_logs() as logs:
        board = await run(found, tmp_path)

    told = [entry for entry in logs if entry["log_level"] in {"warning", "error"}]
    assert PluginStatus("ok") == board.get("a")
    if missing == "TypeError":
        assert ["error"] == [entry["log_level"] for entry in told]
    else:
        assert ([] if missing is None else [missing]) == [entry["signals"] for entry in told]


def test_what_is_found_says_which_package_it_is_of() -> None:
    """A plugin is found with its package and the version of that."""
    found = {item.name: item for item in discover()}

    assert ("reflective-resonance", version("reflective-resonance")) == (
        found["waves"].distribution,
        found["waves"].version,
    )
