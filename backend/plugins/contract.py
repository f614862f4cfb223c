"""The plugin contract: what a plugin is, how it is found, started and stopped.

A plugin is a name, a settings class of its own with `enabled`, and an async context manager that
gets the host: enter = subscribe, leave = unsubscribe, then drain. A package offers one under the
entry point group `reflective_resonance.plugins`; ours are declared in pyproject.toml the same way.

    discover()  ->  [Discovered]  ->  async with running(discovered, artifacts) as board:
                                          enter each enabled one in order
                                          ... the host runs ...
                                          leave each one in reverse

Whatever a plugin does, raise, hang or misconfigure itself, at import, start or stop, is logged with
its name and kept on the `Board`; the host goes on without it. What belongs to a plugin may be named
as "module:attribute": it is imported when first needed, so a disabled plugin costs its settings.

What a plugin's context manager yields is its *service*: its routes get it with
`backend.http.service_of`, and nobody else does. Plugins that have something to tell each other do
it by signals; numbers about themselves they show as gauges (`Host.gauge`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pkgutil import resolve_name
from time import monotonic
from typing import Any, ClassVar, Literal

import structlog
from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as UnparsableError

from backend.config import describe_encoding, describe_problems
from backend.errors import PluginError
from backend.storage import Artifacts, Leases

log = structlog.get_logger(__name__)

GROUP = "reflective_resonance.plugins"
START_LIMIT_S = 30.0
STOP_LIMIT_S = 4.5
"""For all plugins together; a plugin bounds its own stop, this is for one that does not."""
STOP_MINIMUM_S = 0.5
"""What a plugin gets if those before it have used up the time."""

State = Literal["ok", "warming", "degraded", "disabled", "failed"]


class PluginSettings(BaseSettings):
    """Base of a plugin's settings; a subclass sets its `env_prefix`, such as `RR_WAVES_`."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    enabled: bool = Field(True, description="Whether the plugin is started.")


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """How a plugin is: what `/v1/health/ready` shows."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that a plugin shows about itself; `read` is called on any thread and only looks."""

    plugin: str
    name: str
    doc: str
    read: Callable[[], float]


@dataclass(slots=True)
class Board:
    """The state of every plugin by name, the gauges and the services of those that run."""

    _statuses: dict[str, PluginStatus] = field(default_factory=dict)
    _gauges: dict[tuple[str, str], Gauge] = field(default_factory=dict)
    _services: dict[str, Any] = field(default_factory=dict)
    watch: Callable[[str, PluginStatus], None] | None = None
    """Called with name and status whenever one is set, on any thread."""

    def set(self, name: str, state: State, reason: str = "") -> None:
        """Note the state of a plugin; `reason` is one sentence for the artist."""
        self._statuses[name] = status = PluginStatus(state, reason)
        if self.watch is not None:
            self.watch(name, status)

    def get(self, name: str) -> PluginStatus | None:
        """Return the state of the plugin called `name`, None if there is no such plugin."""
        return self._statuses.get(name)

    def show(self, gauge: Gauge) -> None:
        """Show a number, in the place of an earlier one of that name."""
        self._gauges[gauge.plugin, gauge.name] = gauge

    @property
    def gauges(self) -> tuple[Gauge, ...]:
        """The numbers that the running plugins show, by plugin and name."""
        return tuple(gauge for _, gauge in sorted(self._gauges.items(), key=lambda item: item[0]))

    def open_service(self, name: str, service: Any) -> None:
        """Note what the plugin called `name` yielded."""
        self._services[name] = service

    def service(self, name: str) -> Any:
        """Return what the plugin called `name` yielded, None unless it runs."""
        return self._services.get(name)

    def runs(self, name: str) -> bool:
        """Tell whether the plugin called `name` has started and not begun to stop."""
        return name in self._services

    def close(self, name: str) -> None:
        """Forget the service and the gauges of a plugin that stops."""
        self._services.pop(name, None)
        for key in [key for key in self._gauges if key[0] == name]:
            del self._gauges[key]

    def __iter__(self) -> Iterator[tuple[str, PluginStatus]]:
        return iter(sorted(self._statuses.items()))


@dataclass(frozen=True, slots=True)
class Host:
    """What a plugin gets of the host when it starts."""

    artifacts: Artifacts
    report: Callable[[State, str], None]
    """Say how the plugin is, with a reason; callable from any thread."""
    name: str = ""
    base_url: str = ""
    """Where the server can be reached from this machine, such as http://127.0.0.1:8000; empty
    without a server."""
    board: Board = field(default_factory=Board)
    """How the other plugins are."""
    leases: Leases = field(default_factory=Leases)
    """Which sessions' files somebody needs: whoever does holds them there."""
    low_priority: bool = True
    """Whether a plugin's child processes let everything else go first, as beside visitors; False
    where somebody waits for their result."""

    def gauge(self, name: str, doc: str, read: Callable[[], float]) -> None:
        """Show a number for as long as the plugin runs: `read()` is asked for it, on any thread."""
        self.board.show(Gauge(self.name, name, doc, read))


Lifespan = Callable[[Host, Any], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a package offers under the entry point group.

    Parameters
    ----------
    name : str
        Short and unique; in logs, in `/v1/health/ready`, in the names of its settings.
    settings : type[PluginSettings]
        Its settings class.
    lifespan : callable or "module:attribute"
        `lifespan(host, settings)` returns the async context manager; what that yields is the
        plugin's service, which its routes get.
    router : fastapi.APIRouter or "module:attribute", optional
        Routes added to the server while the plugin is enabled.
    commands : typer.Typer or "module:attribute", optional
        Commands shown as `reflective-resonance <command> ...`.
    command : str, optional
        Another word for them than the plugin's name; an app of one command is that command.
    check : callable or "module:attribute", optional
        `check(settings, artifacts, say) -> str` returns what `doctor` shows of it, or raises what
        is wrong; `say(text)` shows how far it is.
    outcomes : "module:attribute", optional
        A pair of signals (done, failed) with payloads derived from `WorkDone` and `WorkFailed`:
        every utterance handed to the plugin ends in exactly one of them. A rehearsal waits for it.
    order : int
        Plugins start by rising order, then by name.
    """

    name: str
    settings: type[PluginSettings]
    lifespan: Lifespan | str
    router: Any = None
    commands: Any = None
    command: str = ""
    check: Any = None
    outcomes: Any = None
    order: int = 100

    KINDS: ClassVar[tuple[str, ...]] = ("lifespan", "router", "commands", "check", "outcomes")

    def resolve(self, part: str) -> Any:
        """Return one of `KINDS`, imported if it is a "module:attribute"."""
        value = getattr(self, part)
        return resolve_name(value) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Discovered:
    """An entry point with the plugin behind it, or with the reason why there is none."""

    name: str
    plugin: Plugin | None
    problem: str = ""


def discover(found: Iterable[EntryPoint] | None = None) -> list[Discovered]:
    """Load every plugin that an installed package offers, in starting order; never raise."""
    discovered = [_load(point) for point in (entry_points(group=GROUP) if found is None else found)]
    return sorted(discovered, key=lambda item: (item.plugin.order if item.plugin else 0, item.name))


def load_settings(plugin: Plugin) -> PluginSettings:
    """Read a plugin's settings.

    Raises
    ------
    PluginError
        One line per wrong setting: its name, its value and what it should be.
    """
    try:
        return plugin.settings()
    except ValidationError as error:
        raise PluginError(describe_problems(error, plugin.settings)) from error
    except UnicodeDecodeError as error:
        raise PluginError(describe_encoding(error)) from error
    except UnparsableError as error:
        raise PluginError(f"plugin {plugin.name}: {error}") from error


def enabled(
    discovered: Iterable[Discovered], board: Board
) -> Mapping[str, tuple[Plugin, PluginSettings]]:
    """Return the plugins to start with their settings; note the others on `board`."""
    chosen: dict[str, tuple[Plugin, PluginSettings]] = {}
    for item in discovered:
        if item.plugin is None:
            board.set(item.name, "failed", item.problem)
            continue
        try:
            settings = load_settings(item.plugin)
        except Exception as error:  # noqa: BLE001 - a plugin's settings class is the plugin's code
            log.error("plugin settings are wrong", plugin=item.name, problem=str(error))
            board.set(item.name, "failed", str(error))
            continue
        if not settings.enabled:
            board.set(item.name, "disabled", "switched off in the settings")
        elif item.name in chosen:
            log.error("two plugins share a name; the second is not started", plugin=item.name)
        else:
            chosen[item.name] = (item.plugin, settings)
    return chosen


@asynccontextmanager
async def running(
    chosen: Mapping[str, tuple[Plugin, PluginSettings]],
    board: Board,
    artifacts: Artifacts,
    base_url: str = "",
    *,
    low_priority: bool = True,
) -> AsyncIterator[None]:
    """Start the chosen plugins in order; stop them in reverse. Never raises for a plugin."""
    allowance = _Allowance()
    leases = Leases()
    async with AsyncExitStack() as stack:
        for name, (plugin, settings) in chosen.items():
            report = partial(board.set, name)
            host = Host(artifacts, report, name, base_url, board, leases, low_priority)
            await stack.enter_async_context(_isolated(plugin, settings, host, allowance))
        yield


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
        async with asyncio.timeout(START_LIMIT_S):
            lifespan = plugin.resolve("lifespan")(host, settings)
            board.open_service(name, await lifespan.__aenter__())
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


def _load(point: EntryPoint) -> Discovered:
    try:
        plugin = point.load()
        if not isinstance(plugin, Plugin):
            raise PluginError(
                f"{point.value} is a {type(plugin).__name__}, not a backend.plugins.Plugin"
            )
    except (Exception, SystemExit) as error:
        log.exception("plugin cannot be loaded; the show goes on without it", plugin=point.name)
        return Discovered(point.name, None, _in_one_line(error))
    return Discovered(plugin.name, plugin)


def _in_one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
