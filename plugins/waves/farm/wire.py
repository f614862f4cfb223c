"""What a server and its workers say to each other, and where.

    rr.waves.jobs.<algorithm>.<server>   stream RR_WAVES_JOBS, a work queue: a recording, and how
    rr.waves.results.<server>            waves and figures, or a reason; it acknowledges the job
    rr.waves.parts.<id>.<n>              stream RR_WAVES_PARTS: bodies that fit into no message
    rr.waves.present                     twice a second: who is there, with which algorithm

A server that has lost its connection gives back what was out, so nothing need outlive it: jobs are
stored in memory, results nowhere; one that is lost is not acknowledged.

A message is the length of its header, the header as JSON, a body of bytes. Nobody opens a path or a
name that came in one: a job is known by a number of 128 bits.
"""

import hashlib
import math
import struct
from functools import cache
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from plugins.waves.errors import FarmError

if TYPE_CHECKING:
    from nats.js import JetStreamContext

JOBS, PARTS = "RR_WAVES_JOBS", "RR_WAVES_PARTS"
ANSWERS = "rr.waves.results"
PRESENT_EVERY_S, ABSENT_AFTER_S = 0.5, 1.6
ACK_WAIT_S: Final = 5.0
"""Seconds without a sign of the worker after which its job is given to another."""
DELIVERIES: Final = 4
KEPT_S = 600
REPLY_LIMIT_S = 2.0
TOO_MANY_MESSAGES = 10077
"""What JetStream calls it if a stream is full."""
MAX_BODY, PART_BYTES = 256 * 2**20, 512 * 2**10
PLAIN_BYTES = 900 * 2**10
"""A body up to this is sent in its message; a NATS server takes 1 MB unless told otherwise."""
_WAVES = Path(__file__).parents[1]


def _plain(text: str) -> str:
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def _value(value: object) -> object:
    """Return what JSON can say, with tuples for lists, as settings have them."""
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(_value, value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it is not finite")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ValueError(f"JSON has no {type(value).__name__}")


Number = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Text = Annotated[str, Field(max_length=5000), AfterValidator(_plain)]
Slot = Annotated[int, Field(ge=0, le=99)]
Ack = Annotated[str, Field(pattern=rf"^\$JS\.ACK\.([\w-]+\.[\w-]+\.)?{JOBS}\.[\w.-]+$")]
"""A subject on which a job is acknowledged: this is also published by whom a result names it."""
Figure = Annotated[float, Field(allow_inf_nan=False)]
Value = Annotated[Any, AfterValidator(_value)]
"""A setting of a profile."""


class Header(BaseModel):
    """What a message says; whatever else it says makes it wrong."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    id: Number
    parts: int = Field(0, ge=0, le=MAX_BODY // PART_BYTES)
    """In how many parts the body is stored; 0: it is in the message."""


class Job(Header):
    """A recording whose waves are to be made."""

    slot_id: Slot
    max_duration_s: float = Field(gt=0, le=3600)
    profiles: tuple[tuple[str, dict[str, Value]], ...] = Field(min_length=1, max_length=9)


class WaveSet(BaseModel):
    """Figures of the waves of a profile, or why there are none."""

    model_config = Header.model_config

    profile: str
    files: int = Field(ge=0, le=9)
    """How many waves of it are in the body."""
    targets: tuple[Slot, ...] = ()
    rmse: Figure | None = None
    nrmse: Figure | None = None
    snr_db: Figure | None = None
    envelope_correlation: Figure | None = None
    clipped_samples: int | None = Field(None, ge=0, le=2**40)
    voiced_ratio: Figure | None = None
    reason: Literal["", "error", "publish_failed"] = ""
    message: Text = ""
    is_final: bool = False
    """Whether the recording is to blame: another attempt is no use."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        known = (self.rmse, self.nrmse, self.snr_db, self.envelope_correlation)
        has_figures = None not in (*known, self.clipped_samples, self.voiced_ratio)
        if bool(self.files) == bool(self.reason) or (self.files and not has_figures):
            raise ValueError("neither waves with figures nor a reason")
        if self.profile == "v3" and self.files != 3:
            raise ValueError("v3 has three waves")
        if self.targets and len(self.targets) != self.files:
            raise ValueError("not one dish for each wave")
        return self


class Result(Header):
    """What became of a job."""

    attempt: int = Field(ge=1, le=DELIVERIES)
    worker: Number
    ack: Ack
    """Where its server says that it has it."""
    reason: Literal["", "invalid_audio", "timeout", "crashed", "killed", "out_of_memory", "error"]
    message: Text = ""
    detail: Text = ""
    is_final: bool = False
    frames: int = Field(0, ge=0)
    sample_rate: Literal[8000] = 8000
    warnings: tuple[Text, ...] = Field((), max_length=20)
    sets: tuple[WaveSet, ...] = Field((), max_length=9)


class Present(Header):
    """One who is there."""

    role: Literal["server", "worker"]
    machine: Annotated[Text, Field(max_length=255)]
    workers: int = Field(ge=0, le=1024)
    version: Annotated[Text, Field(max_length=63)]
    algorithm: Annotated[Text, Field(max_length=63)]


H = TypeVar("H", bound=Header)


@cache
def algorithm() -> str:
    """Return a word that changes with the code that makes waves, and the profiles installed."""
    folders = ("audio", "pyin", "v3", "profiles", "jit/bitcode", "farm")
    files = [file for folder in folders for file in sorted((_WAVES / folder).rglob("*.*"))]
    code = hashlib.sha256()
    for file in (*files, _WAVES / "decompose_v3.py", _WAVES / "worker.py"):
        if file.suffix in {".py", ".bc"}:
            contents = file.read_bytes().replace(b"\r\n", b"\n")
            code.update(f"{file.relative_to(_WAVES).as_posix()} {len(contents)} ".encode())
            code.update(contents)
    points = entry_points(group="reflective_resonance.profiles")
    known = sorted(f"{one.name} {one.dist.version if one.dist else ''}" for one in points)
    code.update(repr(known).encode())
    return code.hexdigest()[:12]


def version_name() -> str:
    """Return the version and algorithm of this program for people."""
    return f"{version('reflective-resonance')} ({algorithm()})"


def pack(header: Header, body: bytes = b"") -> bytes:
    """Return a message."""
    head = header.model_dump_json(exclude_defaults=True).encode()
    return struct.pack(">I", len(head)) + head + body


def unpack(kind: type[H], message: bytes) -> tuple[H, bytes]:
    """Return header and body of a message, or raise FarmError."""
    if len(message) < 4 or (end := 4 + struct.unpack_from(">I", message)[0]) > len(message):
        raise FarmError(f"a message of {len(message)} bytes without a header")
    try:
        return kind.model_validate_json(message[4:end]), message[end:]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise FarmError(f"no {kind.__name__}: {first['loc']} {first['msg']}") from None


async def pack_large(js: "JetStreamContext", header: Header, body: bytes, key: str) -> bytes:
    """Return a message; a body that is too large for it is stored in parts named `key` before."""
    if len(body) <= PLAIN_BYTES:
        return pack(header, body)
    starts = range(0, len(body), PART_BYTES)
    for number, start in enumerate(starts):
        await js.publish(f"rr.waves.parts.{key}.{number}", body[start : start + PART_BYTES])
    return pack(header.model_copy(update={"parts": len(starts)}))


async def fetch_body(js: "JetStreamContext", header: Header, body: bytes, key: str) -> bytes:
    """Return the body of a message, from its parts if it has any, or raise FarmError."""
    for number in range(header.parts):
        part = await js.get_last_msg(PARTS, f"rr.waves.parts.{key}.{number}", direct=True)
        body += part.data or b""
        if len(body) > MAX_BODY:
            raise FarmError(f"a body of more than {MAX_BODY} bytes")
    return body


async def remove(js: "JetStreamContext", stream: str, subject: str) -> None:
    """Remove the messages of a subject below rr.waves from a stream."""
    await js.purge_stream(stream, subject=f"rr.waves.{subject}")


async def create(js: "JetStreamContext", most_jobs: int) -> None:
    """Make the streams and the consumer that are missing; those that stand are left as they are."""
    from nats.js.api import (
        ConsumerConfig,
        DiscardPolicy,
        RetentionPolicy,
        StorageType,
        StreamConfig,
    )
    from nats.js.errors import BadRequestError

    queue = {"retention": RetentionPolicy.WORK_QUEUE, "storage": StorageType.MEMORY}
    for name, subject, options in (
        (JOBS, "jobs.*.*", {**queue, "max_msgs": max(1, most_jobs)}),
        (PARTS, "parts.*.*", {"allow_direct": True}),
    ):
        subjects = [f"rr.waves.{subject}"]
        config = StreamConfig(
            name, subjects=subjects, discard=DiscardPolicy.NEW, max_age=KEPT_S, **options
        )
        try:
            await js.add_stream(config)
        except BadRequestError:  # it stands, with the limits of who made it
            await js.stream_info(name)
    consumer = ConsumerConfig(
        durable_name=algorithm(),
        filter_subject=f"rr.waves.jobs.{algorithm()}.*",
        ack_wait=ACK_WAIT_S,
        max_deliver=DELIVERIES,
        inactive_threshold=86_400,
    )
    await js.add_consumer(JOBS, consumer)
