"""Plays steps one after the other, and keeps the output open: what it lacks stops nothing else."""

import asyncio
from collections import deque
from threading import Lock
from time import monotonic

import structlog

from backend.plugins import Host
from backend.tracking import TrackedEvent
from plugins.playback.checks import SoundCheck
from plugins.playback.dishes import load_dishes
from plugins.playback.mixer import BLOCK_S, Group, Mixer
from plugins.playback.output import Output, OutputError, open_output
from plugins.playback.settings import PlaybackSettings
from plugins.playback.steps import Order, Step, load, unmade

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 0.05
"""Until an emergency stop is silent: a card that holds more sound than that is closed for it."""
TICK_S = 0.02
RETRY_S = 1.0
MARKER = ".playback-stopped"
AHEAD_S = 0.5
"""A step is handed to the mixer so long before it begins."""
MAX_WAITING = 100
"""Steps of some six sessions; at the limit the oldest goes."""
STOPPED = "stopped by hand, until POST /v1/playback/release"
BUSY = "a session is played, wait for its end"


class Player:
    """The service of the plugin; `stop`, `release` and what is read are for any thread.

    While it is stopped there is a file, so that no new start of the server plays.
    """

    def __init__(self, host: Host, settings: PlaybackSettings) -> None:
        self.dishes, self._settings = load_dishes(settings.dishes), settings
        self.speak, self._report = host.speak, host.report
        self._marker = host.artifacts.root / MARKER
        self.output: Output | None = None
        self.check: SoundCheck | None = None
        """Test signals on the output."""
        self.beginning = Lock()
        """Held by what begins a step or a test signal, so that never both do."""
        self.problem, self.stopped, self.skipped = "", self._marker.exists(), 0
        self._order, self._waiting = Order(), deque[tuple[Step, float]]()
        self._ends: dict[str, float] = {}
        """When the latest step of each session ends, for sessions that wait."""
        self._last: Group | None = None
        self._unmade: set[tuple[str, str]] = set()
        """Channels and profiles that were said to be silent."""
        self._closed = self._was_open = False

    @property
    def waiting(self) -> int:
        """How many steps wait."""
        return len(self._waiting)

    @property
    def playing(self) -> bool:
        """Whether a step is played."""
        output, last = self.output, self._last
        return bool(output and last and not self.stopped and output.mixer.position < last.end)

    def test_signals(self) -> SoundCheck:
        """Return what plays test signals, or raise OutputError if none may begin now."""
        busy = BUSY if self.playing or self.waiting else ""
        problem = self.problem or (STOPPED if self.stopped else busy)
        if problem or (check := self.check) is None:
            problem = problem or "the output is not open yet"
            raise OutputError(f"No test signal is played: {problem}.")
        return check

    def stop(self) -> None:
        """Be silent within `STOP_LIMIT_S` until released; what waits is never played."""
        self.stopped = True
        if output := self.output:
            output.mixer.stopped = True
            if output.latency_s + 2 * BLOCK_S > STOP_LIMIT_S:
                self.output = self.check = None
                output.close()
        try:
            self._marker.touch()
        except OSError as error:
            log.warning("a new start of the server will play again", error=str(error))

    def release(self) -> None:
        """Play what becomes ready from now on."""
        while self._waiting:
            self._skip()
        self._marker.unlink(missing_ok=True)
        self._last = None  # the stop has ended it, and a test signal
        if check := self.check:
            check.latest = None
        self.stopped = False
        if self.output:
            self.output.mixer.stopped = False

    async def handle(self, event: TrackedEvent) -> None:
        """Let what is ready now wait for its turn."""
        for step in filter(None, self._order.steps(event)):
            self._waiting.append((step, monotonic()))
        while len(self._waiting) > MAX_WAITING:
            self._skip()

    async def play(self) -> None:
        """Hand each step to the mixer in time, until cancelled."""
        while True:
            if not self._waiting:
                self._ends.clear()
            elif self.stopped or monotonic() - self._due() > self._settings.late_s:
                self._skip()
                continue
            elif self.output:
                mixer = self.output.mixer
                if self._next(mixer) - mixer.position <= AHEAD_S * mixer.rate:
                    await asyncio.to_thread(self._begin, self._waiting[0], mixer)
            await asyncio.sleep(TICK_S)

    async def keep_open(self) -> None:
        """Open the output, and again whenever it fails, until cancelled."""
        while True:
            output = self.output
            if output is None or output.problem:
                self.output = self.check = self._last = None
                before = (output.problem if output else "") or self.problem
                if output and before:
                    log.warning("the output has failed; it is tried again", reason=before)
                self.problem = await asyncio.to_thread(self._reopen, output)
                if self.problem not in {"", before}:
                    log.warning("nothing is played", reason=self.problem)
            problem = self.problem or (STOPPED if self.stopped else "")
            self._report("degraded" if problem else "ok", problem)
            await asyncio.sleep(RETRY_S)

    async def close(self) -> None:
        """End softly what plays, and the output."""
        self._closed = True
        if output := self.output:
            output.mixer.stopped = True
            await asyncio.sleep(2 * BLOCK_S + output.latency_s)
            await asyncio.to_thread(output.close)

    def _reopen(self, failed: Output | None) -> str:
        """Open the output in the place of one that failed; return why that cannot be done."""
        if failed:
            failed.close()
        try:
            output = open_output(self._settings, self.dishes.channels, again=self._was_open)
        except OutputError as error:
            return str(error)
        except Exception as error:
            log.exception("the output cannot be opened")
            return repr(error)
        self.check, self.output, self._was_open = SoundCheck(output.mixer), output, True
        output.mixer.stopped = self.stopped
        if self._closed:
            output.close()
        return ""

    def _due(self) -> float:
        """Return since when the first step waits for anything but its own session."""
        step, ready_at = self._waiting[0]
        return max(ready_at, self._ends.get(step[0].source.session_id, 0))

    def _next(self, mixer: Mixer) -> int:
        """Return the sample from which on the first step may be played."""
        check = self.check
        before = [one for one in (self._last, check and check.latest) if one]
        pause = round(self._settings.pause_s * mixer.rate)
        return max((one.end + pause for one in before), default=0)

    def _begin(self, waiting: tuple[Step, float], mixer: Mixer) -> None:
        """Load the first step and hand it to the mixer, unless it is skipped meanwhile."""
        try:
            tracks = load(waiting[0], self.dishes, mixer.rate)
            self._say_unmade(waiting[0])
        except Exception:
            log.exception("a step cannot be played")
            tracks = []
        with self.beginning:
            if self.stopped or not self._waiting or self._waiting[0] is not waiting:
                return
            if tracks:
                soonest = mixer.soonest + 2 * mixer.block_frames
                self._last = mixer.play(tracks, max(self._next(mixer), soonest))
                ends_in_s = (self._last.end - mixer.position) / mixer.rate
                self._ends[waiting[0][0].source.session_id] = monotonic() + ends_in_s
            if self._waiting and self._waiting[0] is waiting:
                self._waiting.popleft()

    def _say_unmade(self, step: Step) -> None:
        """Log, once for each channel, a profile that it plays and that is not made."""
        for channel, profile in sorted(unmade(step, self.dishes) - self._unmade):
            self._unmade.add((channel, profile))
            words = "a channel plays a profile that is not made: add it to RR_WAVES_PROFILES"
            log.warning(words, channel=channel, profile=profile)

    def _skip(self) -> None:
        self._waiting.popleft()
        self.skipped += 1
