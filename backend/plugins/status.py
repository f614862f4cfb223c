"""How each plugin is, and the gauges and services of those that run."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

State = Literal["ok", "warming", "degraded", "disabled", "failed"]


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


@dataclass(frozen=True, slots=True)
class _Running:
    service: Any
    presents: bool
    include_text: bool
    open_paths: tuple[str, ...]


@dataclass(slots=True)
class PluginStatuses:
    """The state of every plugin by name, the gauges and the services of those that run."""

    _statuses: dict[str, PluginStatus] = field(default_factory=dict)
    _gauges: dict[tuple[str, str], Gauge] = field(default_factory=dict)
    _running: dict[str, _Running] = field(default_factory=dict)
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

    def open_service(
        self,
        name: str,
        service: Any,
        *,
        presents: bool = False,
        include_text: bool = False,
        open_paths: tuple[str, ...] = (),
    ) -> None:
        """Note what the plugin called `name` yielded, and what it gets; see `Plugin`."""
        self._running[name] = _Running(service, presents, include_text, open_paths)

    @property
    def includes_text(self) -> bool:
        """Whether a running plugin asks for what visitors say."""
        return any(one.include_text for one in self._running.values())

    @property
    def presenting(self) -> frozenset[str]:
        """The running plugins to which a replay is sent."""
        return frozenset(name for name, one in self._running.items() if one.presents)

    @property
    def open_paths(self) -> Iterator[str]:
        """The paths of the running plugins that need no token."""
        return chain.from_iterable(one.open_paths for one in self._running.values())

    def service(self, name: str) -> Any:
        """Return what the plugin called `name` yielded, None unless it runs."""
        return one.service if (one := self._running.get(name)) else None

    def runs(self, name: str) -> bool:
        """Tell whether the plugin called `name` has started and not begun to stop."""
        return name in self._running

    def close(self, name: str) -> None:
        """Forget the service and the gauges of a plugin that stops."""
        self._running.pop(name, None)
        for key in [key for key in self._gauges if key[0] == name]:
            del self._gauges[key]

    def __iter__(self) -> Iterator[tuple[str, PluginStatus]]:
        return iter(sorted(self._statuses.items()))
