"""What is installed: every plugin with its state, signals, routes and commands."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import typer

from backend.config import effective
from backend.plugins import Discovered, Plugin, PluginSettings, PluginStatus, server_in_settings
from backend.terminal import output, show_paragraph

ANSWER_LIMIT_S = 2.0
NOT_RUNNING = "not running"


@dataclass(slots=True)
class InstalledPlugin:
    """A plugin as this installation has it."""

    name: str
    distribution: str
    version: str
    enabled: bool | None = None
    """Whether it is on, in the server that runs if that tells, else by its setting; None if that is
    not known, since it cannot be loaded or its settings are wrong."""
    in_server: bool = False
    """Whether the server that runs tells its state."""
    setting: str = ""
    """The variable that switches it on and off, with its value."""
    source: str = ""
    """Where that value came from."""
    state: str = "failed"
    reason: str = ""
    listens: tuple[str, ...] | None = None
    """None if it does not tell."""
    sends: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    """Parts that cannot be imported, and settings that are wrong here and not in the server."""

    @property
    def ok(self) -> bool:
        """Whether nothing of it has failed."""
        return self.state != "failed" and not self.problems


def server_states() -> tuple[Mapping[str, PluginStatus], str]:
    """Return the plugins' states in the server that runs, and why one may not be among them.

    Raises
    ------
    SettingsError
        If a setting is wrong.
    """
    import httpx2

    server = server_in_settings()
    try:
        with server.client(ANSWER_LIMIT_S) as client:
            answer = client.get(f"{server.base_url}/v1/health/ready")
            plugins = answer.raise_for_status().json()["plugins"]
            states = {name: PluginStatus(**status) for name, status in plugins.items()}
            return states, "it was installed after the server started: start the server again"
    except httpx2.HTTPStatusError as error:
        code = error.response.status_code
        return {}, f"the server at {server.base_url} answers with status {code}"
    except (httpx2.HTTPError, ValueError, LookupError, TypeError, AttributeError):
        return {}, f"no server answers at {server.base_url}"


def installed_plugins(
    discovered: Iterable[Discovered],
    states: Mapping[str, PluginStatus],
    not_running: str,
) -> list[InstalledPlugin]:
    """Return every plugin with all it has, in starting order; `states` are those of a server."""
    return plugins_with_signals(discovered, states, not_running, _add_routes_and_commands)


def plugins_with_signals(
    discovered: Iterable[Discovered],
    states: Mapping[str, PluginStatus],
    not_running: str,
    add: Callable[[InstalledPlugin, Plugin], None] = lambda _, __: None,
) -> list[InstalledPlugin]:
    """Return every plugin with its signals, in starting order; `add` notes what else is wanted."""
    rows = []
    for item in discovered:
        row = InstalledPlugin(item.name, item.distribution, item.version, reason=item.problem)
        rows.append(row)
        if item.plugin is not None:
            _add_settings_and_signals(row, item.plugin)
            _add_state(row, states.get(item.name), not_running)
            add(row, item.plugin)
    return rows


def _add_settings_and_signals(row: InstalledPlugin, plugin: Plugin) -> None:
    signals = [*(_part(row, plugin, "outcomes") or ()), *(_part(row, plugin, "sends") or ())]
    row.sends = tuple(signal.name for signal in signals)
    try:
        settings = plugin.settings.load()
        row.listens = plugin.listens_to(settings)
    except Exception as error:  # noqa: BLE001 - a plugin's settings class is the plugin's code
        row.reason = str(error)
        return
    row.enabled = settings.enabled
    row.setting, row.source = _switch(settings)
    row.state = NOT_RUNNING if settings.enabled else "disabled"


def _add_state(row: InstalledPlugin, status: PluginStatus | None, not_running: str) -> None:
    if status is None:
        row.reason = not_running if row.enabled else row.reason
    elif row.enabled is not None or status.state != "failed":
        row.problems += [row.reason] if row.enabled is None else []
        row.state, row.reason, row.in_server = status.state, status.reason, True
        row.enabled = status.state != "disabled"


def _add_routes_and_commands(row: InstalledPlugin, plugin: Plugin) -> None:
    row.routes = tuple(_routes(_part(row, plugin, "router")))
    row.commands = tuple(_commands(_part(row, plugin, "commands"), plugin.command or plugin.name))


def _part(row: InstalledPlugin, plugin: Plugin, part: str) -> Any:
    """Return a part of a plugin; one that cannot be imported is noted as a problem."""
    try:
        return plugin.resolve(part)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a part is the plugin's code
        row.problems.append(f"{part}: {type(error).__name__}: {error}")
        return None


def _switch(settings: PluginSettings) -> tuple[str, str]:
    """Return the setting that switches a plugin on and off, and where it came from."""
    rows = dict(zip(type(settings).model_fields, effective(settings), strict=True))
    row = rows["enabled"]
    return f"{row.variable}={row.value}", row.source


def _routes(router: Any, prefix: str = "") -> Iterator[str]:
    """Yield method and path of each route, also those of a router that is included."""
    for route in getattr(router, "routes", ()):
        if (included := getattr(route, "original_router", None)) is not None:
            yield from _routes(included, prefix + route.include_context.prefix)
            continue
        for method in sorted(getattr(route, "methods", None) or {"WEBSOCKET"}):
            yield f"{method} {prefix}{route.path}"


def _commands(app: Any, word: str) -> list[str]:
    if app is None:
        return []
    below = getattr(typer.main.get_command(app), "commands", {})
    return [f"{word} {name}" for name in below] or [word]


def show(plugins: Iterable[InstalledPlugin]) -> None:
    """Print every plugin as a list of what it has."""
    console = output()
    for row in plugins:
        switch = {True: "on", False: "off", None: "failed"}[row.enabled]
        link = " in the server that runs; the setting here is" if row.in_server else ", by"
        by = f"{link} {row.setting} ({row.source})" if row.setting else ""
        console.print(f"{row.name}: {switch}{by}", style="bold", soft_wrap=True)
        unknown = "it does not tell" if row.enabled and row.listens is None else ""
        lines = {
            "state": f"{row.state}: {row.reason}" if row.reason else row.state,
            "package": f"{row.distribution} {row.version}".strip(),
            "listens to": ", ".join(row.listens or ()) or unknown,
            "sends": ", ".join(row.sends),
            "routes": ", ".join(row.routes),
            "commands": ", ".join(row.commands),
            "wrong here": "; ".join(row.problems),
        }
        for title, text in lines.items():
            if text:
                style = "" if row.ok or title not in {"state", "wrong here"} else "red"
                show_paragraph(console, f"{title}: {text}", (4, 8), style)
