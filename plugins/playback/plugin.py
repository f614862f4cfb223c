"""The playback plugin: plays what happens to the waves on this computer.

signals --> SessionTracker --> EventQueue --> Player --> Mixer <-- SoundCard or WavFile
            (receivers)        (one task)     (steps)    (a deque)  (a thread of its own)
"""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from backend.plugins import Host
from backend.tracking import EventQueue, SessionTracker, TrackedEvent
from plugins.playback.player import Player
from plugins.playback.settings import PlaybackSettings
from plugins.waves.signals import outcomes


@asynccontextmanager
async def lifespan(host: Host, settings: PlaybackSettings) -> AsyncIterator[Player]:
    """Play what happens while the host runs; the service is the player."""
    player = Player(host, settings)
    queue: EventQueue[TrackedEvent] = EventQueue(player.handle, host.gauge)
    tracker = SessionTracker(
        outcomes,
        queue.put,
        available=lambda: host.board.runs("waves"),
        wait_limit_s=settings.wait_limit_s,
    )
    host.gauge("skipped", "Steps that were not played.", lambda: player.skipped)
    host.gauge("underruns", "Gaps in the output.", lambda: getattr(player.output, "underruns", 0))
    loops = (player.play(), player.keep_open())
    tasks = [asyncio.create_task(one, name="playback") for one in loops]
    try:
        async with queue.running():
            with tracker.running(), _stopped_by_signal(player.stop):
                yield player
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await player.close()


@contextmanager
def _stopped_by_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at SIGUSR1, where there is such a signal and this is the main thread."""
    usr1 = getattr(signal, "SIGUSR1", None)
    if usr1 is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(usr1, lambda *_: stop())
    try:
        yield
    finally:
        signal.signal(usr1, before)
