"""Build every part of the installation once; start and stop them in order.

Hosting(settings)        artifacts, agents, speech, workflow, the plugins that are enabled
async with running():    plugins start; sessions may be run; sessions end, plugins stop
"""

import asyncio
import os
import re
import stat
import threading
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import structlog
from pydantic_settings import BaseSettings

from backend import scheduling
from backend.agents import create_agents, key_variables
from backend.config import ENV_FILE, PREFIX, REPLACED, Settings, Unread, env_file, unread
from backend.hearing import create_hearing
from backend.plugins import (
    Discovered,
    Plugin,
    PluginSettings,
    PluginStatuses,
    Switches,
    discover,
    enabled,
    running,
)
from backend.runner import SessionRunner
from backend.sessions import mark_interrupted
from backend.signals import tracing
from backend.speech import create_speech, spoken_wav
from backend.storage import Artifacts
from backend.workflow import Workflow

log = structlog.get_logger(__name__)

CLOSE_LIMIT_S = 2.0
SPEECH_THREADS = 6
"""One for each speaker; a thread only waits for its engine."""
_SECRET = re.compile("(API_KEY|NKEY|TOKEN|PASSWORD|SECRET)$", re.IGNORECASE)
MARKING_LIMIT_S = 0.25
"""How long the stop waits for a disk that does not answer."""


class Hosting:
    """The parts of one running installation, by default with all installed plugins."""

    def __init__(self, settings: Settings, discovered: Iterable[Discovered] | None = None) -> None:
        found = discover() if discovered is None else list(discovered)
        _warn_about_unread_settings(settings, found)
        _warn_about_open_secrets()
        self.discovered = found
        self.switches: Switches | None = None
        """Stops and starts plugins, while the installation runs."""
        self.settings = settings
        self.artifacts = Artifacts(settings.artifacts_dir)
        self.board = PluginStatuses()
        self.plugins: Mapping[str, tuple[Plugin, PluginSettings]] = enabled(found, self.board)
        self.agents = create_agents(settings)
        self.registry = self.agents.registry
        self._threads = ThreadPoolExecutor(SPEECH_THREADS, thread_name_prefix="speech")
        self.speech = create_speech(settings, self.artifacts.temporary)
        self.hearing = create_hearing(settings, self.artifacts, include_text=self.include_text)
        self.workflow = Workflow(
            self.agents,
            self.speech,
            self.artifacts,
            self._threads,
            seed=settings.seed,
            include_text=self.include_text,
            keep_texts=settings.keep_texts,
            summary_agent=settings.summary_agent if settings.summary_turn else None,
        )
        self.runner = SessionRunner(self.workflow, settings.max_sessions)

    def include_text(self) -> bool:
        """Return whether signals carry what visitors say: it is kept, or a plugin asks for it."""
        return self.settings.stt_keep or self.board.includes_text

    @asynccontextmanager
    async def running(
        self, *, low_priority: bool = True, warm_hearing: bool = True
    ) -> AsyncIterator[None]:
        """Start the plugins; at the end stop speech and sessions, then plugins, then agents.

        `low_priority` is that of the plugins' child processes; with `warm_hearing` the first
        recording does not wait for a model.
        """
        self._threads.submit(self.agents.warm_up)
        self._threads.submit(import_module, "backend.speech.sound")  # what a first utterance needs
        if warm_hearing:
            self._threads.submit(self.hearing.warm_up)
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
                        ask=self.agents.judge,
                        speak=self._speak,
                        discovered=self.discovered,
                        keep_texts=self.settings.keep_texts,
                        max_sessions=self.settings.max_sessions,
                    ) as self.switches,
                ):
                    try:
                        yield
                    finally:
                        # Both at once: an engine that hangs would delay the sessions' last files,
                        # and sessions would continue with engines that are closed.
                        await asyncio.gather(self._close_engines(), self.runner.aclose())
        finally:
            await self.agents.aclose()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _speak(self, text: str) -> bytes:
        """Return the WAV of a text that a plugin wants spoken."""
        return await asyncio.to_thread(spoken_wav, self.speech, text, self.artifacts.temporary)

    async def _close_engines(self) -> None:
        """Close speech and hearing, on a thread each: they wait for their own threads."""
        both = asyncio.to_thread(self.speech.close), asyncio.to_thread(self.hearing.close)
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await asyncio.gather(*both)
        except TimeoutError:
            log.warning("engines not closed in time", limit_s=CLOSE_LIMIT_S)


@asynccontextmanager
async def _marking_interrupted(artifacts: Artifacts) -> AsyncIterator[None]:
    """Mark unfinished sessions of earlier processes as interrupted, on a thread."""
    earlier = await asyncio.to_thread(artifacts.session_ids, "tts")  # before one begins here
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
    """Return what is set in the environment or in `.env` and not read."""
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


def _warn_about_open_secrets() -> None:
    path, values = Path(ENV_FILE), env_file().values.items()
    named = [name for name, value in values if value and _SECRET.search(name)]
    if named and os.name != "nt" and path.stat().st_mode & stat.S_IROTH:
        log.warning("everybody on this machine can read .env: chmod 600 .env", secrets=named)
