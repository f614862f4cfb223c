"""One plugin for each trouble; the receivers hear all four signals of the host."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from backend.plugins import Host, Plugin, PluginSettings
from backend.signals import session_finished, session_started, tts_written, turn_finished

BLOCKED_S = 0.1
SIGNALS = (session_started, tts_written, turn_finished, session_finished)


class NeedsMoreSettings(PluginSettings):
    """Settings that nobody has given."""

    moon: int


@asynccontextmanager
async def _quiet(_: Host, __: PluginSettings) -> AsyncIterator[None]:
    yield


class _Failing:
    """Fails as it is entered."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def __aenter__(self) -> None:
        raise self._error

    async def __aexit__(self, *_: object) -> None: ...


def _raising_at_start(_: Host, __: PluginSettings) -> _Failing:
    return _Failing(RuntimeError("no moon"))


def _exiting_at_start(_: Host, __: PluginSettings) -> _Failing:
    return _Failing(SystemExit(3))


@asynccontextmanager
async def _raising_at_stop(_: Host, __: PluginSettings) -> AsyncIterator[None]:
    yield
    raise RuntimeError("no moon")


def _no_context_manager(_: Host, __: PluginSettings) -> Any:
    return None


def _receiving(receiver: Callable[..., Any]) -> Callable[[Host, Any], Any]:
    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        with ExitStack() as stack:
            for signal in SIGNALS:
                stack.enter_context(signal.connected_to(receiver))
            yield

    return lifespan


def _raise(sender: object, *, event: object) -> None:
    raise RuntimeError("no moon")


def _block(sender: object, *, event: object) -> None:
    threading.Event().wait(BLOCKED_S)


def _want_more(sender: object, *, event: object, moon: int) -> None: ...


def _want_less() -> None: ...


async def _await(sender: object, *, event: object) -> None: ...


def _change(sender: object, *, event: Any) -> None:
    event.session_id = "changed"


raises_at_start = Plugin("troubled", PluginSettings, _raising_at_start)
exits_at_start = Plugin("troubled", PluginSettings, _exiting_at_start)
raises_at_stop = Plugin("troubled", PluginSettings, _raising_at_stop)
has_no_lifespan = Plugin("troubled", PluginSettings, "no.such.module:lifespan")
is_no_context_manager = Plugin("troubled", PluginSettings, _no_context_manager)
has_wrong_settings = Plugin("troubled", NeedsMoreSettings, _quiet)
has_no_routes = Plugin("troubled", PluginSettings, _quiet, router="no.such.module:router")
raises_in_receiver = Plugin("troubled", PluginSettings, _receiving(_raise))
blocks_in_receiver = Plugin("troubled", PluginSettings, _receiving(_block))
receives_more = Plugin("troubled", PluginSettings, _receiving(_want_more))
receives_less = Plugin("troubled", PluginSettings, _receiving(_want_less))
receives_async = Plugin("troubled", PluginSettings, _receiving(_await))
changes_events = Plugin("troubled", PluginSettings, _receiving(_change))
is_no_plugin = "troubled"
