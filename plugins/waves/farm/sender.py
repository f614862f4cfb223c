"""The server's end of the farm: takes jobs of the pool, sends them, and ends them by their results.

    JobTable --take()--> feeding thread --bytes--> loop of its own --> rr.waves.jobs...
        ^ finish()                                     |
        +-- publishing thread <-- rr.waves.results... -+

Jobs go to the farm while it is usable: connected, with a worker of the same algorithm that was
seen lately. The pool's own workers wait meanwhile. When it is not, all jobs that are out are given
back, and what comes of them later is ignored: a job is in one place at a time. No more jobs are out
than two for each worker, so that live ones need not wait behind those of a backfill.
"""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import structlog

from backend.services import NatsConnection
from plugins.waves import worker
from plugins.waves.errors import AudioError, FarmError
from plugins.waves.farm import results, wire
from plugins.waves.farm.presence import Presence
from plugins.waves.pool import Job, JobTable
from plugins.waves.settings import WavesSettings

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

log = structlog.get_logger(__name__)

GIVEN_UP = f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{wire.JOBS}.*"
"""Where JetStream says that a job was delivered as often as it may be."""
CHECK_S = 0.2
TAKE_S = 1.0
START_LIMIT_S, LEAVE_LIMIT_S = 2.0, 0.3
FULL_PAUSE_S, REFUSED_PAUSE_S = 2.0, 60.0
JOBS_PER_WORKER = 2


@dataclass(slots=True, eq=False)
class _Out:
    """A job that is out."""

    job: Job
    order: worker.Order
    frames: int
    identity: Mapping[str, object]
    ends_at: float
    number: int = 0
    """Where it is in the stream; 0 until that is known."""


class Farm:
    """What takes jobs of `jobs` and has other machines do them; see `plugins.waves.pool.Remote`.

    Raises SettingsError if one cannot log in as the settings say.
    """

    is_here = False
    """Whether it takes jobs that only this machine can do."""

    def __init__(
        self, settings: WavesSettings, jobs: JobTable, update_state: Callable[[], None]
    ) -> None:
        self.job: Job | None = None
        self.usable = False
        self.problem = ""
        """Why the farm is not used; empty while it is."""
        self._settings = settings
        self._jobs = jobs
        self._update_state = update_state
        self._presence = Presence("server")
        self._id = self._presence.own.id
        self._connection = NatsConnection(settings.farm_login(), "waves", self._use)
        self._js: JetStreamContext | None = None
        self._out: dict[str, _Out] = {}
        self._pause = ("", 0.0)
        self._is_said: bool | None = None
        """Whether the log said last that the farm is used; None: nothing yet."""
        self._started_at = 0.0
        self._ended = threading.Event()
        self._publisher = ThreadPoolExecutor(2, "farm-publish")
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (("farm", self._run), ("farm-jobs", self._feed))
        ]

    @property
    def waits(self) -> bool:
        """Whether it takes no job now; read with the lock of the jobs."""
        return not self.usable or len(self._out) >= self._room()

    @property
    def held(self) -> list[Job]:
        """Return the jobs that are out."""
        return [one.job for one in list(self._out.values())]

    def start(self) -> None:
        """Connect, and take jobs once there is a worker."""
        self._started_at = monotonic()
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Take no more jobs; return at once."""
        self._ended.set()

    def join(self, limit_s: float) -> None:
        """End for good, within `limit_s`."""
        with suppress(RuntimeError):  # the loop has ended
            if self._loop is not None and self._main is not None:
                self._loop.call_soon_threadsafe(self._main.cancel)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(limit_s / 2)
        self._publisher.shutdown(wait=False)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._keep())

    async def _keep(self) -> None:
        """Be connected, and look who is there, until cancelled."""
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        connecting = asyncio.create_task(self._connection.run())
        try:
            while not self._ended.is_set() or self._out or self._tasks:
                await asyncio.sleep(CHECK_S)
                self._look()
        finally:
            if self._js is not None:
                with suppress(Exception):
                    async with asyncio.timeout(LEAVE_LIMIT_S):
                        await wire.remove(self._js, wire.JOBS, f"jobs.*.{self._id}")
            connecting.cancel()
            await asyncio.wait([connecting])

    async def _use(self, client: "Client") -> None:
        """Use a new connection: nothing of an earlier one is left."""
        js = client.jetstream(timeout=wire.REPLY_LIMIT_S)
        await wire.create(js, self._settings.queue_max_size)
        await wire.remove(js, wire.JOBS, f"jobs.*.{self._id}")
        await client.subscribe(GIVEN_UP, cb=self._on_given_up)

        async def on_result(message: "Msg") -> None:
            await self._on_result(client, js, message.data)

        await client.subscribe(f"{wire.ANSWERS}.{self._id}", cb=on_result)
        try:
            self._js = js
            await self._presence.keep(client)
        finally:
            self._js = None
            self._look()

    def _look(self) -> None:
        """Find out whether the farm is usable; give all jobs back if nobody is there to do them."""
        if self._ended.is_set():
            return
        problem, is_lost = self._find_problem()
        now = monotonic()
        for key, out in reversed(list(self._out.items())):
            if is_lost:
                self._end_out(key)
            elif now > out.ends_at:
                self._end_out(key, "timeout", "no machine of the farm gave an answer in time")
        may_come = not self.usable and now < self._started_at + START_LIMIT_S
        if (problem, self.usable) == (self.problem, not problem) or (problem and may_come):
            return
        if problem or not self._pause[0]:  # if it was full, its next result tells
            self._say(problem)
        self.problem, self.usable = problem, not problem
        self._wake()
        self._update_state()

    def _say(self, problem: str) -> None:
        """Log that the farm is not used, or that it is, once."""
        if self._is_said == (not problem):
            return
        self._is_said = not problem
        if problem:
            log.warning("the farm is not used; this machine makes the waves", problem=problem)
            return
        machines = sorted({one.machine for one in self._presence.others})
        log.info("the farm makes the waves", machines=machines, workers=self._workers())

    def _find_problem(self) -> tuple[str, bool]:
        """Return why the farm is not used, if it is not, and whether jobs that are out are lost."""
        reason, until = self._pause
        if self._js is None:
            return f"the farm is away: {self._connection.problem or 'it is being set up'}", True
        if not self._room():
            return f"the farm at {self._connection.url} has no worker of this version", True
        return reason if monotonic() < until else "", False

    def _workers(self) -> int:
        return sum(one.workers for one in self._presence.others)

    def _room(self) -> int:
        return min(JOBS_PER_WORKER * self._workers(), max(1, self._settings.queue_max_size))

    def _wake(self) -> None:
        with self._jobs.changed:
            self._jobs.changed.notify_all()

    def _feed(self) -> None:
        """Take jobs and pass them on: the thread that waits for jobs and reads recordings."""
        import numpy  # noqa: F401 - not first while somebody waits for waves

        while not self._ended.is_set():
            job = self._jobs.take(self, TAKE_S)
            if job is None:
                continue
            try:
                self._pass_on(job)
            except Exception as error:  # noqa: BLE001 - workers of this machine do it
                self._pause = (_words(error), monotonic() + REFUSED_PAUSE_S)
                self.usable = False
                self._give_back(job)
            finally:
                self.job = None

    def _pass_on(self, job: Job) -> None:
        if job.started_at is None:
            now = monotonic()
            job.payload = job.works[0].begin((now - job.accepted_at) * 1000)
            job.started_at = now
        order = job.payload
        assert isinstance(order, worker.Order)  # noqa: S101 - water is computed here
        try:
            contents, identity = worker.read(order)
        except AudioError as error:
            report = worker.refusal(order, error, worker.identity(Path(order.wav_path)))
            self._jobs.finish(job, job.outcome(report.reason, report.message, report))
            return
        job.size, job.attempted_at = len(contents), monotonic()
        ends_at = monotonic() + wire.DELIVERIES * (self._settings.job_timeout_s + wire.ACK_WAIT_S)
        out = _Out(job, order, results.frames_of(contents), identity, ends_at)
        header = wire.Job(
            id=uuid.uuid4().hex,
            slot_id=order.slot_id,
            max_duration_s=order.max_duration_s,
            profiles=tuple((name, dict(numbers)) for name, numbers in order.profiles),
        )
        self._out[header.id] = out
        assert self._loop is not None  # noqa: S101 - it found the farm usable
        asyncio.run_coroutine_threadsafe(self._send(header, out, contents), self._loop)

    async def _send(self, header: wire.Job, out: _Out, contents: bytes) -> None:
        from nats.errors import ConnectionClosedError, Error
        from nats.js.errors import APIError

        try:
            if (js := self._js) is None:
                raise ConnectionClosedError
            subject = f"rr.waves.jobs.{wire.algorithm()}.{self._id}"
            message = await wire.pack_large(js, header, contents, header.id)
            out.number = (await js.publish(subject, message)).seq
            if header.id not in self._out:  # it was given back meanwhile, or has ended
                self._remove(out)
        except (Error, TimeoutError, OSError) as error:
            full = isinstance(error, APIError) and error.err_code == wire.TOO_MANY_MESSAGES
            self._refuse("the farm is full" if full else _words(error), FULL_PAUSE_S)
            self._end_out(header.id)

    def _end_out(self, key: str, reason: str = "", message: str = "") -> None:
        """End a job that is out, for a reason or by giving it back; have its message removed."""
        if (out := self._out.pop(key, None)) is None:
            return
        if reason:
            self._jobs.finish(out.job, out.job.outcome(reason, message))
            self._wake()
        else:
            self._give_back(out.job)
        self._remove(out)

    def _give_back(self, job: Job) -> None:
        """Give a job back to the pool, for whoever takes it."""
        job.attempted_at = None
        self._jobs.give_back(job)

    def _remove(self, out: _Out) -> None:
        """Have the message of a job removed that nobody needs to do there any more."""
        if self._js is not None and out.number:
            self._do(self._js.delete_msg(wire.JOBS, out.number))

    async def _on_given_up(self, message: "Msg") -> None:
        """End a job that was delivered as often as it may be."""
        number = json.loads(message.data)["stream_seq"]
        for key, out in list(self._out.items()):
            if out.number and out.number == number:
                words = f"{wire.DELIVERIES} workers of the farm did not finish it"
                self._end_out(key, "killed", words)

    def _do(self, doing: Coroutine[Any, Any, Any]) -> None:
        """Have something done meanwhile; what goes wrong with it is of no matter."""

        async def tried() -> None:
            try:
                await doing
            except (Error, TimeoutError, OSError) as error:
                log.debug("the farm did not do what it was asked for", problem=str(error))

        from nats.errors import Error

        task = asyncio.create_task(tried())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _on_result(self, client: "Client", js: "JetStreamContext", message: bytes) -> None:
        """Have the job of a result ended; a result of no job that is out is ignored."""
        try:
            result, body = wire.unpack(wire.Result, message)
        except FarmError as error:  # of which job, nobody knows
            self._refuse(f"a result is refused: {error}")
            for key in list(self._out):
                self._end_out(key)
            return
        await client.publish(result.ack)
        if (out := self._out.pop(result.id, None)) is not None:
            self._do(self._end(js, out, result, body))
            self._wake()

    def _refuse(self, problem: str, pause_s: float = REFUSED_PAUSE_S) -> None:
        """Leave the farm alone for a while."""
        self._pause = (problem, monotonic() + pause_s)
        self._look()

    async def _end(
        self, js: "JetStreamContext", out: _Out, result: wire.Result, body: bytes
    ) -> None:
        """End a job by its result; if that is refused, give it back and leave the farm alone."""
        names = {one.id: one.machine for one in self._presence.others}
        machine = names.get(result.worker, "a worker")
        try:
            body = await wire.fetch_body(js, result, body, f"{result.id}-{result.attempt}")
            report = await asyncio.get_running_loop().run_in_executor(
                self._publisher, results.publish, out.order, out.frames, out.identity, result, body
            )
        except BaseException as error:
            pause_s = REFUSED_PAUSE_S if isinstance(error, FarmError) else FULL_PAUSE_S
            self._refuse(f"a result of {machine} is refused: {error}", pause_s)
            self._give_back(out.job)
            if not isinstance(error, FarmError):
                raise
            return
        report = replace(report, data={**report.data, "machine": machine})
        out.job.attempts = result.attempt
        self._jobs.finish(out.job, out.job.outcome(report.reason, report.message, report))
        stored = {result.id: out.job.size > wire.PLAIN_BYTES}
        stored |= {f"{result.id}-{result.attempt}": result.parts > 0}
        for key in (one for one, is_large in stored.items() if is_large):
            self._do(wire.remove(js, wire.PARTS, f"parts.{key}.*"))
        if self.usable:
            self._pause = ("", 0.0)
            self._say("")


def _words(error: Exception) -> str:
    """Return why a job could not be sent, on one line."""
    return f"a job cannot be sent: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
