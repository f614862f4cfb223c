"""Find the plugins of the installed packages, and choose those that are started."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points

import structlog

from backend.errors import PluginError
from backend.plugins.contract import Plugin, PluginSettings
from backend.plugins.status import PluginStatuses

log = structlog.get_logger(__name__)

GROUP = "reflective_resonance.plugins"


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
        return _broken(Discovered(point.name, None, in_one_line(error), *origin))
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


def in_one_line(error: BaseException) -> str:
    """Return what is shown of an exception of a plugin."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
