"""The contract of a plugin, as one function for a test; what is wrong is said with what to do.

    off      a process imports the plugin: no lifespan, no receiver, no thread
    twice    start --> three sessions, one receiver after the other --> stop --> nothing is left

The sessions are played as they were recorded; as of the next version of the signals, where each
payload has a further field and there is a further event; and without what payloads may lack.
"""

import asyncio
import inspect
import json
import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import MISSING, fields, is_dataclass, make_dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep, thread_time
from typing import Any

from structlog.processors import format_exc_info
from structlog.testing import capture_logs

from backend.plugins.contract import Plugin, PluginSettings
from backend.plugins.switches import START_LIMIT_S, STOP_LIMIT_S
from backend.plugins.testing.holding import (
    LIMIT_S,
    child_pids,
    files_written,
    held,
    threads_that_stay,
)
from backend.plugins.testing.session import host_of, recorded_session
from backend.signals import SLOW_RECEIVER_S, EventPublished, Signal, connecting, defined
from backend.tracking import Recorded

PARTS = ("lifespan", "router", "commands", "check", "outcomes", "sends", "refuses")
OFF = """
import importlib, json, sys, threading
importlib.import_module(sys.argv[1])
from backend.signals import defined
receivers = sum(len(signal.connections) for signal in defined())
print(json.dumps([sys.argv[2] in sys.modules, receivers, threading.active_count() - 1]))
"""


def check_contract(plugin: Plugin, root: Path, **settings: Any) -> None:
    """Raise AssertionError, with a line for each part of the contract that a plugin breaks.

    For a test that is no coroutine; it takes seconds. `root` is a temporary artifacts root,
    `settings` are what the plugin needs besides being on.
    """
    contract = _Contract(plugin, root)
    contract.check_words()
    contract.end()
    contract.check_off()
    contract.check_running(plugin.settings(enabled=True, **settings))
    contract.end()


class _Contract:
    """What one plugin does, and what of it is wrong."""

    def __init__(self, plugin: Plugin, root: Path) -> None:
        self._plugin = plugin
        self._root = root
        self._wrong: list[str] = []
        self._times: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        """Of each signal and receiver: seconds of the processor and of the clock."""

    def end(self) -> None:
        """Raise AssertionError if anything is wrong."""
        if self._wrong:
            raise AssertionError("\n".join(dict.fromkeys(self._wrong)))

    def _must(self, condition: object, sentence: str) -> None:
        if not condition:
            self._wrong.append(f"plugin {self._plugin.name}: {sentence}")

    @contextmanager
    def _trying(self, what: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001 - a plugin's
            self._must(False, f"{what}: {error!r}")

    def check_words(self) -> None:
        """Check what it says of itself: its settings, parts and signals."""
        cls = self._plugin.settings
        sent: list[Signal[Any]] = []
        prefix = cls.model_config.get("env_prefix", "")
        own = f"RR_{self._plugin.name.upper()}_"
        self._must(
            prefix.startswith("RR_") and prefix.endswith("_"),
            f"{cls.__name__} has the env_prefix {prefix!r}: give it one of its own, such as {own}",
        )
        for name, field in cls.model_fields.items():
            sentence = f"the setting {name} has no description: add Field(..., description=...)"
            self._must(field.description, sentence)
        with self._trying("give each setting a default, for it is read where the plugin is off"):
            cls(enabled=False)
        for part in PARTS:
            with self._trying(f"its {part} cannot be imported"):
                found = self._plugin.resolve(part)
                sent += (found or ()) if part in {"outcomes", "sends"} else ()
        for signal in sent:
            told = signal.meaning and signal.sender and signal.thread
            self._must(told, f"define {signal.name} with its meaning, sender and thread")
            frozen = getattr(signal.payload, "__dataclass_params__", None)
            sentence = f"{signal.payload.__name__} is no frozen dataclass: a receiver may change it"
            self._must(frozen and frozen.frozen, sentence)

    def check_off(self) -> None:
        """Check what is there in a process that finds the plugin and does not start it."""
        module, lifespan = self._plugin.settings.__module__, self._plugin.lifespan
        inside = lifespan.partition(":")[0] if isinstance(lifespan, str) else module
        self._root.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", OFF, module, inside],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            cwd=self._root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self._must(False, f"{module} cannot be imported by itself: {done.stderr}")
            return
        imported, receivers, threads = json.loads(done.stdout.splitlines()[-1])
        sentence = f"{inside} is imported where it is off: import it in functions only"
        self._must(inside == module or not imported, sentence)
        self._must(not receivers, f"{module} connects receivers at import: do so in its lifespan")
        self._must(not threads, f"{module} starts threads at import: do so in its lifespan")

    def check_running(self, settings: PluginSettings) -> None:
        """Check two runs; what the second leaves, beyond what the first left, would grow."""
        threads = threading.enumerate()
        before: dict[str, int] = {}
        known = child_pids()
        allowed = [self._root, *(path for _, path in settings if isinstance(path, Path))]
        for _ in range(2):
            with capture_logs([format_exc_info]) as logs, files_written() as files:
                asyncio.run(self._run(settings))
            stay = threads_that_stay(threads)
            self._must(not stay, f"the threads {stay} stay after its stop: end and join them")
            now = _settled(before, known)
            more = [f"{now[key]} {key}, not {n}" for key, n in before.items() if now[key] > n]
            self._must(not more, f"after its second stop there are {more}: close what it opens")
            before = now
            for path in files:
                inside = any(path.is_relative_to(one.absolute()) for one in allowed)
                sentence = f"it leaves {path}: write below host.artifacts.root, or let a setting"
                self._must(inside or not path.is_file(), f"{sentence} of type Path name it")
            for entry in logs:
                error = entry["log_level"] in {"error", "critical"}
                self._must(not error, f"it logs an error while sessions are played: {entry}")
        for (signal, receiver), calls in self._times.items():
            took_s = max(median(cpu_s for cpu_s, _ in calls), min(wall_s for _, wall_s in calls))
            self._must(
                took_s <= SLOW_RECEIVER_S,
                f"{receiver} takes {took_s * 1000:.0f} ms for {signal}, and a visitor waits for "
                "it: let it put the event in a backend.tracking.EventQueue",
            )

    async def _run(self, settings: PluginSettings) -> None:
        """Start the plugin as a host does, play the sessions, and stop it."""
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: self._must(False, f"a task or a callback of it fails: {context}")
        )
        lifespan: Any = None
        with connecting(1, self._plugin.name) as connected:
            async with self._within(START_LIMIT_S, "starts"):
                host = host_of(self._root, self._plugin.name)
                entered = self._plugin.resolve("lifespan")(host, settings)
                await entered.__aenter__()
                lifespan = entered
            if lifespan is None:
                return
            with _emitted() as emitted:
                await self._play()
                async with self._within(STOP_LIMIT_S, "stops"):
                    await lifespan.__aexit__(None, None, None)
        told = set(self._plugin.listens_to(settings) or ())
        sentence = f"it connects to {sorted(connected)}, but its `listens` are {sorted(told)}"
        self._must(connected == told, sentence)
        sent = [self._plugin.resolve(part) or () for part in ("outcomes", "sends")]
        undeclared = emitted.difference(signal.name for signals in sent for signal in signals)
        self._must(not undeclared, f"it sends {sorted(undeclared)}: name them in its `sends`")
        left = [signal.name for signal in defined() if self._receivers(signal)]
        self._must(not left, f"receivers of {left} stay after its stop: use `connected_to`")
        tasks = await _tasks_that_stay()
        self._must(not tasks, f"the tasks {tasks} stay after its stop: cancel and await them")

    @asynccontextmanager
    async def _within(self, limit_s: float, what: str) -> AsyncIterator[None]:
        began = monotonic()
        with self._trying(f"it {what} with an error, or not within {limit_s:g} s"):
            async with asyncio.timeout(limit_s):
                yield
            self._must(monotonic() - began <= limit_s, f"it {what} after {limit_s:g} s only")

    def _receivers(self, signal: Signal[Any]) -> list[Any]:
        return [
            one.receiver
            for one in signal.connections
            if one.plugin == self._plugin.name and one.hears(self)
        ]

    async def _play(self) -> None:
        for change in (_as_recorded, _of_next_version, _without_optional):
            for signal, event in change(recorded_session(self._root).signals):
                for receiver in self._receivers(signal):
                    self._call(receiver, signal, event)
                await asyncio.sleep(0)

    def _call(self, receiver: Any, signal: Signal[Any], event: object) -> None:
        """Call a receiver as the bus does, and note how long that took."""
        name = getattr(receiver, "__qualname__", repr(receiver))
        cpu_s, wall_s = thread_time(), perf_counter()
        with self._trying(f"{name} raises for {signal.name}, of {type(event).__name__}"):
            result = receiver(self, event=event)
            took = thread_time() - cpu_s, perf_counter() - wall_s
            self._times[signal.name, name].append(took)
            if inspect.iscoroutine(result):
                result.close()
                self._must(False, f"{name} is a coroutine function: make it a plain one")


Sent = tuple[Signal[Any], Any]


def _as_recorded(signals: Sequence[Recorded]) -> Iterator[Sent]:
    return ((one.signal, one.event) for one in signals)


def _of_next_version(signals: Sequence[Recorded]) -> Iterator[Sent]:
    """Add a field to every payload, and an event before the last of the stream."""
    for signal, event in _as_recorded(signals):
        new = event
        if isinstance(event, EventPublished) and event.name == "done":
            yield signal, replace(event, name="tide.turned")
            new = replace(event, number=event.number + 1)
        yield signal, _with_a_further_field(new)


def _with_a_further_field(event: Any) -> Any:
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    known = {
        name: _with_a_further_field(value) if is_dataclass(value) else value
        for name, value in values.items()
    }
    return _next_version(event.__class__)(**known)


@cache
def _next_version(payload: Any) -> Any:
    name, further = f"{payload.__name__}OfNextVersion", ("further", str, "a new field")
    return make_dataclass(name, [further], bases=(payload,), frozen=True)


def _without_optional(signals: Sequence[Recorded]) -> Iterator[Sent]:
    """Leave out every field that has a default."""
    for signal, event in _as_recorded(signals):
        needed = [
            field.name
            for field in fields(event)
            if field.default is MISSING and field.default_factory is MISSING
        ]
        yield signal, type(event)(**{name: getattr(event, name) for name in needed})


@contextmanager
def _emitted() -> Iterator[set[str]]:
    """Note the names of the signals that are sent while the block runs."""
    names: set[str] = set()

    def noting(name: str) -> Callable[..., None]:
        return lambda _, **__: names.add(name)

    with ExitStack() as stack:
        with connecting(0):
            for signal in defined():
                stack.enter_context(signal.connected_to(noting(signal.name)))
        yield names


async def _tasks_that_stay() -> list[str]:
    deadline = monotonic() + LIMIT_S
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        if monotonic() >= deadline:
            return [task.get_name() for task in others]
        await asyncio.sleep(0.01)
    return []


def _settled(before: Mapping[str, int], known: Collection[int]) -> dict[str, int]:
    """Return what is held, once it is no more than `before`, or for the last time."""
    deadline = monotonic() + LIMIT_S
    while True:
        now = held(known)
        if monotonic() >= deadline or all(now[key] <= n for key, n in before.items()):
            return now
        sleep(0.05)
