"""What a plugin is, and what it gets of the host.

A package offers a `Plugin` under the entry point group `reflective_resonance.plugins`:

    discover()  ->  [Discovered]  ->  async with running(enabled(discovered, statuses), ...):
                                          each enabled plugin starts, in order
                                          ... the host runs; a plugin may be switched off or on ...
                                          each plugin stops, in reverse order

An exception, a timeout or a wrong setting of a plugin is logged with its name and noted in
`PluginStatuses`; the host goes on without it. A part that is named as "module:attribute" is
imported when it is first needed, so a plugin that is off costs its settings only.

What the lifespan yields is the plugin's *service*: its routes get it with
`backend.http.service_of`, and nothing else does. Plugins tell each other things by signals, and
show numbers about themselves as gauges (`Host.gauge`).
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Self

from pydantic import Field

from backend.config import FromEnvironment, read_settings
from backend.errors import PluginError, SpeechError
from backend.plugins.status import Gauge, PluginStatuses, State
from backend.storage import Artifacts, Leases


class PluginSettings(FromEnvironment):
    """Base of a plugin's settings; a subclass sets its `env_prefix`, such as `RR_WAVES_`."""

    enabled: bool = Field(default=True, description="Whether the plugin is started.")

    @classmethod
    def load(cls, **given: Any) -> Self:
        """Read the settings, or raise PluginError with a line for each wrong one.

        `given` replaces what is read.
        """
        return read_settings(cls, PluginError, **given)


Ask = Callable[[str, str, str, type[Any]], Awaitable[Any]]
"""`await ask(agent_id, instructions, text, Model)` returns a pydantic `Model` that a language model
of the agent filled in, or raises AgentError; the rehearsal is never asked."""
Speak = Callable[[str], Coroutine[Any, Any, bytes]]
"""`await speak(text)` returns the WAV of a text, spoken by the server's voice, or raises
SpeechError; nothing of it is kept, and visitors may have to wait for it."""


async def _mute(_: str) -> bytes:
    raise SpeechError("there is no voice here")


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
    ask: Ask | None = None
    """Asks an agent's models, outside of any session; None where there are no agents."""
    speak: Speak = _mute
    """Speaks a short text, outside of any session."""
    keep_texts: bool = True
    """Whether the plugin may write to files what agents say."""
    max_sessions: int = 4
    """Sessions that may run at once."""

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
    sends : "module:attribute", optional
        The signals that it sends besides its outcomes, as a tuple; what lists signals imports it.
    listens : tuple of str, or callable, optional
        Names of the signals that it listens to, or `listens(settings)` that returns them. Only what
        lists signals needs it; the log names signals that are missing in it.
    include_text : bool
        Whether `speech_heard` and `session_started` carry to all receivers what the visitor said.
    open_paths : tuple of str, or callable, optional
        Requests that need no token, such as "GET /v1/tide/*", or `open_paths(settings)` that
        returns them. `*` is one part of a path, at the end any number of them.
    refuses : callable or "module:attribute", optional
        `refuses(service)` returns why the plugin may not be switched off at this moment, or "".
    presents : bool
        Whether a replay is sent to it: it shows or passes on what happens, and makes and removes no
        files.
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
    sends: Any = None
    listens: tuple[str, ...] | Callable[[Any], tuple[str, ...]] | None = None
    open_paths: tuple[str, ...] | Callable[[Any], tuple[str, ...]] = ()
    refuses: Any = None
    include_text: bool = False
    presents: bool = False
    order: int = 100

    def resolve(self, part: str) -> Any:
        """Return the part called `part`, imported if it is a "module:attribute"."""
        value = getattr(self, part)
        return resolve_name(value) if isinstance(value, str) else value

    def listens_to(self, settings: PluginSettings) -> tuple[str, ...] | None:
        """Return the names of the signals it listens to under `settings`, None if it tells none."""
        return self.listens(settings) if callable(self.listens) else self.listens

    def opens(self, settings: PluginSettings) -> tuple[str, ...]:
        """Return the requests that need no token under `settings`."""
        return self.open_paths(settings) if callable(self.open_paths) else self.open_paths
