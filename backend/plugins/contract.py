"""The plugin contract: what a plugin is, how it is found, started and stopped.

A plugin is a name, a settings class of its own with `enabled`, and an async context manager that
gets the host: enter = subscribe, leave = unsubscribe, then drain. A package offers one under the
entry point group `reflective_resonance.plugins`; ours are declared in pyproject.toml the same way.

    discover()  ->  [Discovered]  ->  async with running(discovered, artifacts) as board:
                                          enter each enabled one in order
                                          ... the host runs ...
                                          leave each one in reverse

Whatever a plugin does, raise, hang or misconfigure itself, at import, start or stop, is logged with
its name and kept on the `PluginStatuses`; the host goes on without it. What belongs to a plugin may be named
as "module:attribute": it is imported when first needed, so a disabled plugin costs its settings.

What a plugin's context manager yields is its *service*: its routes get it with
`backend.http.service_of`, and nobody else does. Plugins that have something to tell each other do
it by signals; numbers about themselves they show as gauges (`Host.gauge`).
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, ClassVar

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.plugins.status import Gauge, PluginStatuses, State
from backend.storage import Artifacts, Leases


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
class Host:
    """What a plugin gets of the host when it starts."""

    artifacts: Artifacts
    report: Callable[[State, str], None]
    """Say how the plugin is, with a reason; callable from any thread."""
    name: str = ""
    base_url: str = ""
    """Where the server can be reached from this machine, such as http://127.0.0.1:8000; empty
    without a server."""
    board: PluginStatuses = field(default_factory=PluginStatuses)
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
