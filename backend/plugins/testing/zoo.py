"""Subscribers that do what none may do, to see what a visitor and the other plugins notice.

What they leave behind on purpose, `release` ends.
"""

import asyncio
import os
import shutil
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from time import sleep
from typing import Any

from backend.plugins.contract import Host, Lifespan, Plugin, PluginSettings
from backend.signals import (
    EVENT_LOOP,
    define,
    emit,
    session_finished,
    session_started,
    tts_written,
    turn_finished,
)

BLOCKED_S = 0.25
FLOOD = 5_000
FORKED_S = 1.0
"""A forked child holds copies of all sockets: a visitor's connection is closed no sooner."""
LEAK_BYTES = 1_000_000
SIGNALS = (session_started, tts_written, turn_finished, session_finished)


@dataclass(frozen=True, slots=True)
class Drop:
    """Payload of `zoo_rained`."""


zoo_rained = define("zoo_rained", Drop, "It rains.", sender="the zoo", thread=EVENT_LOOP)
released = threading.Event()
leaked: list[Any] = []
forked: list[int] = []


def release() -> None:
    """End the threads, files and child processes that were left behind."""
    released.set()
    for one in leaked:
        one.join() if isinstance(one, threading.Thread) else one.close()
    for pid in forked:
        os.waitpid(pid, 0)
    leaked.clear()
    forked.clear()
    released.clear()


class NeedsMoreSettings(PluginSettings):
    """Settings that nobody has given."""

    moon: int


class _Failing:
    """Fails as it is entered."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def __aenter__(self) -> None:
        raise self._error

    async def __aexit__(self, *_: object) -> None: ...


@asynccontextmanager
async def _quiet(_: Host, __: PluginSettings) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def _hanging_at_start(_: Host, __: PluginSettings) -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield


@asynccontextmanager
async def _hanging_at_stop(_: Host, __: PluginSettings) -> AsyncIterator[None]:
    yield
    await asyncio.Event().wait()


@asynccontextmanager
async def _raising_at_stop(_: Host, __: PluginSettings) -> AsyncIterator[None]:
    yield
    raise RuntimeError("no moon")


@asynccontextmanager
async def _deleting_the_artifacts(host: Host, _: PluginSettings) -> AsyncIterator[None]:
    def delete(_: object, **__: object) -> None:
        shutil.rmtree(host.artifacts.root, ignore_errors=True)

    with tts_written.connected_to(delete):
        yield


def _receiving(receiver: Callable[..., Any], *signals: Any) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: Host, __: PluginSettings) -> AsyncIterator[None]:
        with ExitStack() as stack:
            for signal in signals or SIGNALS:
                stack.enter_context(signal.connected_to(receiver))
            yield

    return lifespan


def _raise(_: object, **__: object) -> None:
    raise RuntimeError("no moon")


def _exit(_: object, **__: object) -> None:
    sys.exit("no moon")


def _block(_: object, **__: object) -> None:
    sleep(BLOCKED_S)


def _want_more(_: object, *, event: object, moon: int) -> None: ...


def _want_less() -> None: ...


async def _await(_: object, **__: object) -> None: ...


def _change(_: object, *, event: Any) -> None:
    event.session_id = "changed"


def _flood(sender: object, *, event: object) -> None:
    if not isinstance(event, Drop):
        for _ in range(FLOOD):
            emit(zoo_rained, sender, Drop())


def _circle(sender: object, **__: object) -> None:
    emit(zoo_rained, sender, Drop())


def _fork(_: object, **__: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are threads
        pid = os.fork()
    if not pid:
        sleep(FORKED_S)
        os._exit(0)
    forked.append(pid)


def _leak(_: object, **__: object) -> None:
    kept = bytearray(LEAK_BYTES)
    thread = threading.Thread(target=lambda: released.wait() and kept, name="leak", daemon=True)
    thread.start()
    leaked.extend((thread, open(os.devnull)))  # noqa: PTH123, SIM115 - it is left open


_LIFESPANS: dict[str, Lifespan | str] = {
    "has_no_lifespan": "no.such.module:lifespan",
    "is_no_context_manager": lambda _, __: None,  # type: ignore[dict-item,return-value]
    "raises_at_start": lambda _, __: _Failing(RuntimeError("no moon")),
    "exits_at_start": lambda _, __: _Failing(SystemExit(3)),
    "hangs_at_start": _hanging_at_start,
    "hangs_at_stop": _hanging_at_stop,
    "raises_at_stop": _raising_at_stop,
    "raises_in_receiver": _receiving(_raise),
    "exits_in_receiver": _receiving(_exit),
    "blocks_in_receiver": _receiving(_block, tts_written),
    "receives_more": _receiving(_want_more),
    "receives_less": _receiving(_want_less),
    "receives_async": _receiving(_await),
    "changes_events": _receiving(_change),
    "floods": _receiving(_flood, tts_written, zoo_rained),
    "emits_in_a_circle": _receiving(_circle, tts_written, zoo_rained),
    "forks": _receiving(_fork, tts_written),
    "leaks": _receiving(_leak, tts_written),
    "deletes_the_artifacts": _deleting_the_artifacts,
}
ZOO: Mapping[str, Plugin] = {
    "has_wrong_settings": Plugin("has_wrong_settings", NeedsMoreSettings, _quiet),
    "has_no_routes": Plugin(
        "has_no_routes", PluginSettings, _quiet, router="no.such.module:router"
    ),
    **{name: Plugin(name, PluginSettings, lifespan) for name, lifespan in _LIFESPANS.items()},
}
"""The plugins by what they do; one alone may run in a host."""
