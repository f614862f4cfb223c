"""The worker's end of the farm: a machine that takes jobs, has its pool do them, sends results.

    fetch a job --bytes--> a file in memory --pool--> worker process --file--> result --> ack
                           in_progress while it runs     nak if it could not be done here

One task for each worker process, with one job at a time. A recording and its waves are two files of
names of our own, in memory where there is such a file system: the pool's process reads the one by
the same reader, with the same limits, as on the server, and 30 MB of waves need not pass through
its pipe, in which a frozen process would stop us.
"""

import asyncio
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import psutil
import structlog

from backend.services import NatsConnection
from plugins.waves import worker
from plugins.waves.errors import FarmError
from plugins.waves.farm import wire
from plugins.waves.farm.presence import Presence
from plugins.waves.pool import AwaitedWork, Outcome, Pool
from plugins.waves.settings import WavesSettings

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

log = structlog.get_logger(__name__)

FETCH_S, PAUSE_S, CHECK_S = 5.0, 0.5, 0.2
FINISH_S, GIVE_BACK_S = 1.0, 0.4
"""What jobs that run get to end at a stop, and what giving back the others may take."""
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a directory of its own in it
PREFIX, SUFFIXES = "rr-waves-", (".wav", ".waves")
NOT_DONE_HERE = ("stopped", "queue_full", "quarantined", "publish_failed", "session_gone")
"""Outcomes that say nothing about a recording: another machine may do it."""


def _sweep(parent: Path) -> None:
    """Remove what machines that were killed have left behind."""
    for path in parent.glob(f"{PREFIX}*-*"):
        pid = path.name.removeprefix(PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True)


class Machine:
    """Takes jobs of the farm until it is stopped.

    `create_pool(directory)` returns what decomposes; it is not started yet. `show` is told, in a
    line, whenever the machine is connected.
    """

    def __init__(
        self,
        settings: WavesSettings,
        create_pool: Callable[[Path], Pool],
        show: Callable[[str], object],
    ) -> None:
        self._settings = settings
        self._show = show
        memory = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self._directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=memory))
        _sweep(self._directory.parent)
        self._pool = create_pool(self._directory)
        self._presence = Presence("worker", settings.max_workers)
        self._connection = NatsConnection(settings.farm_login(), "waves worker", self._use)
        self._stopping = asyncio.Event()
        self._busy: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Take no more jobs; called on the loop's thread."""
        self._stopping.set()

    async def run(self) -> None:
        """Do jobs until `stop`; then end those that run, or give them back, within 3 s."""
        connecting = None
        try:
            self._pool.start()
            await asyncio.to_thread(self._wait_for_a_worker)
            connecting = asyncio.create_task(self._connection.run())
            await self._tell_until_stopped()
        finally:
            self._stopping.set()
            if self._busy:
                await asyncio.wait(self._busy, timeout=FINISH_S)
            await asyncio.to_thread(self._pool.stop, 0)
            if self._busy:
                await asyncio.wait(self._busy, timeout=GIVE_BACK_S)
            if connecting is not None:
                connecting.cancel()
                await asyncio.wait([connecting])
            shutil.rmtree(self._directory, ignore_errors=True)

    def _wait_for_a_worker(self) -> None:
        while not self._pool.worker_pids and not self._stopping.is_set():
            time.sleep(CHECK_S)

    async def _tell_until_stopped(self) -> None:
        """Say once whenever the connection is lost or made."""
        own = self._presence.own
        told = self._connection.problem
        while not self._stopping.is_set():
            problem = self._connection.problem
            if problem and problem != told:
                log.warning("no connection to the farm", problem=problem)
            elif problem != told:
                self._show(
                    f"connected to {self._connection.url}: this machine makes waves, "
                    f"workers: {own.workers}, version: {own.version}"
                )
            told = problem
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), CHECK_S)

    async def _use(self, client: "Client") -> None:
        js = client.jetstream(timeout=wire.REPLY_LIMIT_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._presence.keep(client))
            for _ in range(self._presence.own.workers):
                group.create_task(self._work(client, js))

    async def _work(self, client: "Client", js: "JetStreamContext") -> None:
        """Take one job after the other until stopped."""
        from nats.errors import Error
        from nats.errors import TimeoutError as NatsTimeoutError

        fetching = await js.pull_subscribe_bind(self._presence.own.algorithm, stream=wire.JOBS)
        while not self._stopping.is_set():
            try:
                for message in await fetching.fetch(1, timeout=FETCH_S):
                    doing = asyncio.create_task(self._do(client, js, message))
                    self._busy.add(doing)
                    doing.add_done_callback(self._busy.discard)
                    await asyncio.wait([doing])
            except NatsTimeoutError:
                continue
            except Error:  # no server has made the queue yet
                await asyncio.sleep(PAUSE_S)

    async def _do(self, client: "Client", js: "JetStreamContext", message: "Msg") -> None:
        """Do a job and send its result; give it back if it could not be done here."""
        from nats.errors import Error

        place = self._directory / uuid.uuid4().hex
        try:
            job, body = wire.unpack(wire.Job, message.data)
            body = await wire.fetch_body(js, job, body, job.id)
            order = _order(job, place, self._settings)
            _write(order, body)
            outcome = await self._decomposed(order, message)
            if outcome.reason in NOT_DONE_HERE:
                await message.nak()
                return
            result, waves = self._result(job.id, message, outcome, order)
            answer = await wire.pack_large(js, result, waves, f"{job.id}-{result.attempt}")
            server = message.subject.rpartition(".")[2]
            await client.publish(f"{wire.ANSWERS}.{server}", answer)
            log.info("a job of the farm is done", job=job.id, reason=outcome.reason or "ok")
        except FarmError as error:
            log.error("a job of the farm is refused", problem=str(error))
            await message.term()
        except (Error, TimeoutError) as error:  # whoever has it next does it
            log.warning("a result did not reach the farm", problem=str(error))
        except Exception:
            log.exception("a job of the farm could not be done; it is given back")
            await message.nak()
        finally:
            _remove(place)

    async def _decomposed(self, order: worker.Order, message: "Msg") -> Outcome:
        """Have the pool do a job, and say that it is being done."""
        work = AwaitedWork(order.wav_path, order)
        self._pool.submit(work)
        ended = asyncio.wrap_future(work)
        while not (await asyncio.wait([ended], timeout=wire.ACK_WAIT_S / 3))[0]:
            await message.in_progress()
        return ended.result()

    def _result(
        self, number: str, message: "Msg", outcome: Outcome, order: worker.Order
    ) -> tuple[wire.Result, bytes]:
        """Return the result of a job and its body; no path of this machine is in it."""
        data: dict[str, Any] = dict(outcome.report.data)
        result = wire.Result(
            id=number,
            attempt=message.metadata.num_delivered,
            worker=self._presence.own.id,
            ack=message.reply,
            reason=cast("Any", outcome.reason),
            message=outcome.message.replace(order.wav_path, "the recording"),
            detail=outcome.report.detail,
            is_final="source_size" in data,
            frames=data.get("frames", 0),
            warnings=data.get("warnings", ()),
            sets=tuple(map(_wave_set, data.get("sets", ()))),
        )
        return result, Path(order.body).read_bytes() if result.sets else b""


def _order(job: wire.Job, place: Path, settings: WavesSettings) -> worker.Order:
    """Return the order for a recording that is put at a place of our own."""
    recording, body = (str(place.with_suffix(one)) for one in SUFFIXES)
    limit_s, engine = job.max_duration_s, settings.engine
    return worker.Order(
        recording, "", "", None, limit_s, engine, job.slot_id, job.profiles, body=body
    )


def _write(order: worker.Order, recording: bytes) -> None:
    Path(order.wav_path).write_bytes(recording)


def _remove(place: Path) -> None:
    for suffix in SUFFIXES:
        place.with_suffix(suffix).unlink(missing_ok=True)


def _wave_set(made: dict[str, Any]) -> wire.WaveSet:
    said = {name: made[name] for name in wire.WaveSet.model_fields if name in made}
    said |= {"files": len(made["files"]), "is_final": "source_size" in made}
    return wire.WaveSet(**said)
