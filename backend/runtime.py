"""Everything that runs, with or without a web server: built once, started and stopped in order.

Hosting(settings)        artifacts, agents, speech, workflow, the plugins that are enabled
async with running():    plugins start; sessions may be run; sessions end, plugins stop
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module

import structlog
from pydantic_settings import BaseSettings

from backend import scheduling
from backend.agents import create_agents, key_variables
from backend.config import PREFIX, REPLACED, Settings, Unread, unread
from backend.plugins import (
    Discovered,
    Plugin,
    PluginSettings,
    PluginStatuses,
    discover,
    enabled,
    running,
)
from backend.runner import SessionRunner
from backend.sessions import earlier_sessions, mark_interrupted
from backend.signals import tracing
from backend.speech import create_speech
from backend.storage import Artifacts
from backend.workflow import Workflow

log = structlog.get_logger(__name__)

SPEECH_CLOSE_LIMIT_S = 2.0
SPEECH_THREADS = 6
"""One utterance for each speaker at once; a thread only waits for its voice."""
MARKING_LIMIT_S = 0.25
"""How long the end waits for a disk that does not answer."""


class Hosting:
    """The parts of one running installation.

    Parameters
    ----------
    settings : Settings
        The host's settings.
    discovered : iterable of Discovered, optional
        The plugins to choose from; by default what the installed packages offer.
    """

    def __init__(self, settings: Settings, discovered: Iterable[Discovered] | None = None) -> None:
        found = discover() if discovered is None else list(discovered)
        _warn_about_unread_settings(settings, found)
        self.settings = settings
        self.artifacts = Artifacts(settings.artifacts_dir)
        self.board = PluginStatuses()
        self.plugins: Mapping[str, tuple[Plugin, PluginSettings]] = enabled(found, self.board)
        self.agents = create_agents(settings)
        self.registry = self.agents.registry
        self._threads = ThreadPoolExecutor(SPEECH_THREADS, thread_name_prefix="speech")
        self.speech = create_speech(settings, self.artifacts.temporary)
        workflow = Workflow(
            self.agents, self.speech, self.artifacts, self._threads, seed=settings.seed
        )
        self.runner = SessionRunner(workflow, settings.max_sessions)

    @asynccontextmanager
    async def running(self, *, low_priority: bool = True) -> AsyncIterator[None]:
        """Start the plugins; at the end stop voices, sessions, plugins and agents.

        Without `low_priority` their processes do not let others go first: somebody waits for them.
        """
        self._threads.submit(self.agents.warm_up)
        self._threads.submit(import_module, "backend.speech.sound")  # what a first utterance needs
        try:
            with scheduling.shortened(), tracing(self.settings.trace_signals):
                async with (
                    _marking_interrupted(self.artifacts),
                    running(
                        self.plugins,
                        self.board,
                        self.artifacts,
                        self.settings.base_url,
                        low_priority=low_priority,
                    ),
                ):
                    try:
                        yield
                    finally:
                        # First: a voice that hangs would hold the sessions' last files up.
                        # Not awaited alone: sessions would go on with voices that refuse.
                        await asyncio.gather(self._close_speech(), self.runner.aclose())
        finally:
            await self.agents.aclose()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _close_speech(self) -> None:
        """Close the voices on a thread: an engine waits for a thread of its own to end."""
        try:
            async with asyncio.timeout(SPEECH_CLOSE_LIMIT_S):
                await asyncio.to_thread(self.speech.close)
        except TimeoutError:
            log.warning("the voices are still closing", limit_s=SPEECH_CLOSE_LIMIT_S)


@asynccontextmanager
async def _marking_interrupted(artifacts: Artifacts) -> AsyncIterator[None]:
    """Say of dead processes' sessions that they were interrupted, on a thread beside the block."""
    earlier = await asyncio.to_thread(earlier_sessions, artifacts)  # none of this process yet
    stopped = threading.Event()
    marking = threading.Thread(
        target=mark_interrupted, args=(artifacts, earlier, stopped), name="sessions", daemon=True
    )
    marking.start()
    try:
        yield
    finally:
        stopped.set()
        await asyncio.to_thread(marking.join, MARKING_LIMIT_S)


def unread_settings(settings: Settings, found: Iterable[Discovered]) -> list[Unread]:
    """Return what stands in the environment or in `.env` and is read by nobody here."""
    classes: list[type[BaseSettings]] = [Settings]
    broken: dict[str, str] = {}
    for item in found:
        if item.plugin:
            classes.append(item.plugin.settings)
        else:
            broken[f"{PREFIX}{item.name.upper()}_"] = item.problem
    return unread(PREFIX, classes, keys=key_variables(settings), replaced=REPLACED, broken=broken)


def _warn_about_unread_settings(settings: Settings, found: Iterable[Discovered]) -> None:
    for one in unread_settings(settings, found):
        log.warning(
            "setting is not read",
            variable=one.name,
            where=one.where,
            reason=one.reason,
            did_you_mean=one.nearest,
        )
