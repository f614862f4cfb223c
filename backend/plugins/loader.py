"""Find the plugins of the installed packages, start them in order, stop them in reverse."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from time import monotonic

import structlog

from backend.errors import PluginError
from backend.plugins.contract import Ask, Host, KeptTexts, Plugin, PluginSettings
from backend.plugins.status import PluginStatuses
from backend.signals import connecting
from backend.storage import Artifacts, Leases

log = structlog.get_logger(__name__)

GROUP = "reflective_resonance.plugins"
START_LIMIT_S = 30.0
START_WARNING_S = 2.0
STOP_LIMIT_S = 4.5
"""For all plugins together; a plugin bounds its own stop, this is for one that does not."""
STOP_MINIMUM_S = 0.5
"""What a plugin gets if those before it have used up the time."""


@dataclass(frozen=True, slots=True)
class Discovered:
    """An entry point with the plugin behind it, or with the reason why there is none."""

    name: str
    plugin: Plugin | None
    problem: str = ""
    distribution: str = ""
    """The installed package that offers it."""
    version: str = ""


def discover(found: Iterable[EntryPoint] | None = None) -> list[Discovered]:
    """Load every plugin that an installed package offers, in starting order; never raise."""
    discovered = [_load(point) for point in (entry_points(group=GROUP) if found is None else found)]
    discovered.sort(
        key=lambda one: (one.plugin.order if one.plugin else 0, one.name, one.distribution)
    )
    first: dict[str, Discovered] = {}
    for place, item in enumerate(discovered):
        if item.plugin and (other := first.setdefault(item.name, item)) is not item:
            discovered[place] = _second(item, other)
    return discovered


def enabled(
    discovered: Iterable[Discovered], board: PluginStatuses
) -> Mapping[str, tuple[Plugin, PluginSettings]]:
    """Return the plugins to start with their settings; note the others on `board`."""
    chosen: dict[str, tuple[Plugin, PluginSettings]] = {}
    for item in discovered:
        if item.plugin is None:
            if item.name not in chosen:
                board.set(item.name, "failed", item.problem)
            continue
        try:
            settings = item.plugin.settings.load()
        except Exception as error:  # noqa: BLE001 - a plugin's settings class is the plugin's code
            log.error("plugin settings are wrong", plugin=item.name, problem=str(error))
            board.set(item.name, "failed", str(error))
            continue
        if not settings.enabled:
            board.set(item.name, "disabled", "switched off in the settings")
        else:
            chosen[item.name] = (item.plugin, settings)
    return chosen


@asynccontextmanager
async def running(
    chosen: Mapping[str, tuple[Plugin, PluginSettings]],
    board: PluginStatuses,
    artifacts: Artifacts,
    base_url: str = "",
    *,
    low_priority: bool = True,
    ask: Ask | None = None,
    kept_texts: KeptTexts = KeptTexts(),  # noqa: B008 - it is frozen
) -> AsyncIterator[None]:
    """Start the chosen plugins in order; stop them in reverse. Never raises for a plugin."""
    allowance = _Allowance()
    leases = Leases()
    async with AsyncExitStack() as stack:
        for place, (name, (plugin, settings)) in enumerate(chosen.items(), 1):
            report = partial(board.set, name)
            host = Host(
                artifacts, report, name, base_url, board, leases, low_priority, ask, kept_texts
            )
            with connecting(place, name) as connected:
                await stack.enter_async_context(_isolated(plugin, settings, host, allowance))
            _compare(plugin, settings, connected)
        yield


def _compare(plugin: Plugin, settings: PluginSettings, connected: set[str]) -> None:
    """Log the signals that a plugin listens to and does not tell of."""
    try:
        declared = plugin.listens_to(settings)
        missing = sorted(connected.difference(connected if declared is None else declared))
    except Exception:
        log.exception("plugin cannot tell what it listens to", plugin=plugin.name)
        return
    if missing:
        log.warning(
            "plugin listens to signals that are missing in its `listens`: add them",
            plugin=plugin.name,
            signals=missing,
        )


class _Allowance:
    """The time that all plugins together may take to stop, from the first one's stop on."""

    def __init__(self) -> None:
        self._until: float | None = None

    def limit_s(self) -> float:
        """Return what is left of it."""
        now = monotonic()
        self._until = self._until or now + STOP_LIMIT_S
        return max(self._until - now, min(STOP_LIMIT_S, STOP_MINIMUM_S))


@asynccontextmanager
async def _isolated(
    plugin: Plugin, settings: PluginSettings, host: Host, allowance: _Allowance
) -> AsyncIterator[None]:
    name, board = host.name, host.board
    if board.get(name) is None:  # its routes may have been found wanting
        board.set(name, "ok")
    try:
        with _warning(name):
            async with asyncio.timeout(START_LIMIT_S):
                lifespan = plugin.resolve("lifespan")(host, settings)
                service = await lifespan.__aenter__()
                board.open_service(name, service, presents=plugin.presents)
    except (Exception, SystemExit) as error:
        log.exception("plugin failed to start; the show goes on without it", plugin=name)
        board.set(name, "failed", _in_one_line(error))
        board.close(name)
        yield
        return
    log.info("plugin started", plugin=name)
    try:
        yield
    finally:
        board.close(name)
        try:
            async with asyncio.timeout(allowance.limit_s()):
                await lifespan.__aexit__(None, None, None)
            log.info("plugin stopped", plugin=name)
        except (Exception, SystemExit):
            log.exception("plugin failed to stop", plugin=name)


@contextmanager
def _warning(name: str) -> Iterator[None]:
    """Log, on a thread since the start may block the event loop, that a plugin is waited for."""
    timer = threading.Timer(
        START_WARNING_S,
        log.warning,
        ("a plugin takes long to start; the server waits for it",),
        {"plugin": name, "waited_s": START_WARNING_S, "limit_s": START_LIMIT_S},
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _load(point: EntryPoint) -> Discovered:
    origin = (point.dist.name, point.dist.version) if point.dist else ("", "")
    try:
        plugin = point.load()
        if not isinstance(plugin, Plugin):
            raise PluginError(
                f"{point.value} is of type {type(plugin).__name__}, not a backend.plugins.Plugin"
            )
    except (Exception, SystemExit) as error:
        log.debug("traceback of the plugin", plugin=point.name, exc_info=error)
        return _broken(Discovered(point.name, None, _in_one_line(error), *origin))
    return Discovered(plugin.name, plugin, "", *origin)


def _second(item: Discovered, first: Discovered) -> Discovered:
    """Return a plugin whose name another one has, as one that cannot be loaded."""
    ours, others = (f"{one.distribution} {one.version}".strip() for one in (item, first))
    problem = f"the packages {others} and {ours} have a plugin of this name: uninstall one of them"
    return _broken(replace(item, plugin=None, problem=problem))


def _broken(item: Discovered) -> Discovered:
    log.error(
        "plugin cannot be loaded; the show goes on without it",
        plugin=item.name,
        problem=item.problem,
    )
    return item


def _in_one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
