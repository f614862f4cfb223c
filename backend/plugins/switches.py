"""Run plugins, each in a task of its own, so that one can be stopped and started while others run.

    async with running(chosen, statuses, artifacts) as switches:  # they start in order
        await switches.switch("osc", enabled=False)               # and stop in reverse

A plugin's lifespan is entered and left by one task: what it opens there, such as a task group, may
not be closed by another.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import structlog

from backend.config import one_reading
from backend.errors import PluginError, SettingsError
from backend.plugins.contract import Host, Plugin, PluginSettings
from backend.plugins.loader import Discovered, in_one_line
from backend.plugins.status import PluginStatus, PluginStatuses
from backend.signals import connecting
from backend.storage import Artifacts, Leases

log = structlog.get_logger(__name__)

START_LIMIT_S = 30.0
START_WARNING_S = 2.0
STOP_LIMIT_S = 4.5
"""For all plugins together; a plugin bounds its own stop, this is for one that does not."""
STOP_MINIMUM_S = 0.5
"""What a plugin gets if those before it have used up the time."""
SWITCHED_OFF = "switched off while the server runs"

Chosen = Mapping[str, tuple[Plugin, PluginSettings]]


@dataclass(slots=True)
class _Run:
    """A plugin whose task runs."""

    task: asyncio.Task[None] | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it has started, or failed to."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stop_limit_s: float = STOP_LIMIT_S


class Switches:
    """Starts and stops plugins; never raises for what a plugin does.

    `chosen` are started at the beginning; others of `discovered` can be switched on.
    """

    def __init__(
        self,
        discovered: Iterable[Discovered],
        chosen: Chosen,
        board: PluginStatuses,
        host_of: Callable[[str], Host],
    ) -> None:
        self._chosen = chosen
        self.settings = {name: settings for name, (_, settings) in chosen.items()}
        """Of each plugin that was started, as they were read then."""
        self._board = board
        self._host_of = host_of
        self._plugins = {one.name: one.plugin for one in discovered if one.plugin is not None}
        self._plugins |= {name: plugin for name, (plugin, _) in chosen.items()}
        self._places = {name: place for place, name in enumerate(self._plugins, 1)}
        self._runs: dict[str, _Run] = {}
        self._switching = asyncio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the chosen plugins and those that are switched on meanwhile."""
        try:
            for name, (plugin, settings) in self._chosen.items():
                if self._board.get(name) is None:  # its routes may have been found wanting
                    self._board.set(name, "ok")
                await self._start(name, plugin, settings)
            yield
        finally:
            async with self._switching:
                ends_at = monotonic() + STOP_LIMIT_S  # the time that all together may take
                for name in sorted(self._runs, key=self._places.__getitem__, reverse=True):
                    least_s = min(STOP_LIMIT_S, STOP_MINIMUM_S)
                    await self._stop(name, max(ends_at - monotonic(), least_s))

    def plugin(self, name: str) -> Plugin | None:
        """Return a plugin that is installed and can be loaded."""
        return self._plugins.get(name)

    async def switch(self, name: str, *, enabled: bool) -> PluginStatus:
        """Stop a plugin, or start it with its settings read anew; return how it is then.

        Raises
        ------
        PluginError
            If there is no such plugin, it refuses to stop, or its settings are wrong.
        """
        plugin = self._plugins.get(name)
        if plugin is None:
            known = ", ".join(sorted(self._plugins))
            raise PluginError(f"there is no plugin {name!r}; there are {known}")
        async with self._switching:
            if not enabled:
                if self._board.runs(name):
                    _ask(plugin, self._board.service(name))
                if name in self._runs:
                    await self._stop(name, STOP_LIMIT_S)
                self._board.set(name, "disabled", SWITCHED_OFF)
            elif not self._board.runs(name):
                with one_reading():
                    settings = plugin.settings.load(enabled=True)
                self._board.set(name, "ok")
                await self._start(name, plugin, settings)
        return self._board.get(name) or PluginStatus("disabled")

    async def _start(self, name: str, plugin: Plugin, settings: PluginSettings) -> None:
        run = self._runs[name] = _Run()
        self.settings[name] = settings
        run.task = asyncio.create_task(self._run(run, plugin, settings), name=f"plugin {name}")
        run.task.add_done_callback(lambda _: run.started.set())
        await run.started.wait()

    async def _stop(self, name: str, limit_s: float) -> None:
        run = self._runs.pop(name)
        run.stop_limit_s = limit_s
        run.stop.set()
        if run.task is not None:
            await asyncio.wait([run.task])

    async def _run(self, run: _Run, plugin: Plugin, settings: PluginSettings) -> None:
        """Enter the lifespan of a plugin, wait for its stop, leave it."""
        name, board = plugin.name, self._board
        with connecting(self._places[name], name) as connected:
            try:
                with _warning(name):
                    async with asyncio.timeout(START_LIMIT_S):
                        lifespan = plugin.resolve("lifespan")(self._host_of(name), settings)
                        open_paths = plugin.opens(settings)
                        service = await lifespan.__aenter__()
            except (Exception, SystemExit) as error:
                is_told = isinstance(error, PluginError | SettingsError)
                reason = str(error) if is_told else in_one_line(error)
                log.error(
                    "plugin failed to start; the show goes on without it",
                    plugin=name,
                    reason=reason,
                    exc_info=not is_told,
                )
                board.set(name, "failed", reason)
                return
            board.open_service(
                name,
                service,
                presents=plugin.presents,
                include_text=plugin.include_text,
                open_paths=open_paths,
            )
            log.info("plugin started", plugin=name)
            _compare(plugin, settings, connected)
            run.started.set()
            try:
                await run.stop.wait()
            finally:
                board.close(name)
                try:
                    async with asyncio.timeout(run.stop_limit_s):
                        await lifespan.__aexit__(None, None, None)
                    log.info("plugin stopped", plugin=name)
                except (Exception, SystemExit):
                    log.exception("plugin failed to stop", plugin=name)


@asynccontextmanager
async def running(
    chosen: Chosen,
    board: PluginStatuses,
    artifacts: Artifacts,
    base_url: str = "",
    *,
    discovered: Iterable[Discovered] = (),
    **of_host: Any,
) -> AsyncIterator[Switches]:
    """Run the chosen plugins; others of `discovered` can be switched on. Never raises for one.

    `of_host` is what their `Host` says besides.
    """
    leases = Leases()

    def host_of(name: str) -> Host:
        report = partial(board.set, name)
        return Host(artifacts, report, name, base_url, board, leases, **of_host)

    switches = Switches(discovered, chosen, board, host_of)
    async with switches.running():
        yield switches


def _ask(plugin: Plugin, service: Any) -> None:
    """Raise PluginError with the reason of a plugin that does not want to be stopped now."""
    refuses = plugin.resolve("refuses")
    if refuses is not None and (reason := refuses(service)):
        raise PluginError(f"the plugin {plugin.name} is not stopped: {reason}")


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
