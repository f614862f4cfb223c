"""Messages between servers and workers, hostile ones too."""

import asyncio
import json
import math
import struct
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from plugins.waves.errors import FarmError
from plugins.waves.farm import machine, presence, wire
from plugins.waves.settings import WavesSettings

NUMBER = "0123456789abcdef0123456789abcdef"
JOB: dict[str, Any] = {"id": NUMBER, "slot_id": 1, "max_duration_s": 600, "profiles": [["v3", {}]]}
HERE: dict[str, Any] = {
    "id": NUMBER, "role": "worker", "machine": "pi", "workers": 2, "version": "1",
    "algorithm": wire.algorithm(),
}  # fmt: skip


def message(header: dict[str, Any]) -> bytes:
    """Return a message with any header."""
    head = json.dumps(header).encode()
    return struct.pack(">I", len(head)) + head


def test_a_message_comes_back_as_it_was() -> None:
    """A header and bytes, also none."""
    job, _ = wire.unpack(wire.Job, message(JOB))
    for body in (b"", b"\0\xff" * 1000):
        assert (job, body) == wire.unpack(wire.Job, wire.pack(job, body))


def test_the_settings_of_a_profile_come_back_as_they_were() -> None:
    """Whatever JSON can say, each of its own type; lists are tuples, as those of settings are."""
    said: dict[str, Any] = {
        "a": (-1, 0.1 + 0.2, True), "b": "\x1b", "c": None, "d": {"e": ((20.0,),)}, "f": 10**30
    }  # fmt: skip
    job = wire.Job(id=NUMBER, slot_id=1, max_duration_s=600, profiles=(("tide", said),))

    ((_, numbers),) = wire.unpack(wire.Job, wire.pack(job))[0].profiles

    assert repr(said) == repr(numbers)


@pytest.mark.parametrize("value", [Path(), {1: 2}, math.inf, b"", {2}], ids=repr)
def test_what_is_no_json_cannot_be_sent(value: object) -> None:
    """A setting that would arrive as something else makes no message."""
    with pytest.raises(ValidationError):
        wire.Job(id=NUMBER, slot_id=1, max_duration_s=600, profiles=(("tide", {"a": value}),))


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0\0\0", b"\xff\xff\xff\xff{}", b"\0\0\0\x09{}", b"\0\0\0\x02[]", b"\0\0\0\x02{]",
        struct.pack(">I", 60_000) + b"[" * 60_000, struct.pack(">I", 4) + b"\xff\xfe{}",
    ],
)  # fmt: skip
def test_a_message_that_is_none_is_refused(data: bytes) -> None:
    """A length that lies, what is no JSON, and what is nested too deeply."""
    with pytest.raises(FarmError):
        wire.unpack(wire.Job, data)


@pytest.mark.parametrize(
    "change",
    [
        {"id": NUMBER[1:]}, {"id": NUMBER.upper()}, {"id": "*" * 32}, {"id": NUMBER + "\n"},
        {"slot_id": 100}, {"slot_id": True}, {"slot_id": "1"}, {"max_duration_s": 0},
        {"max_duration_s": 10**6}, {"max_duration_s": "60"}, {"profiles": []}, {"profiles": ["v3"]},
        {"profiles": [["v3", {}]] * 10}, {"profiles": [["v3", {"a": math.nan}]]},
        {"profiles": "v3"}, {"profiles": [["v3", {"a": [[math.inf]]}]]},
        {"profiles": [["v3", ["a"]]]},
        {"profiles": [[1, {}]]}, {"parts": -1}, {"parts": True}, {"parts": 10**9}, {"parts": "1"},
        {"wav_path": "/etc/passwd"},
    ],
    ids=str,
)  # fmt: skip
def test_a_job_that_is_none_is_refused(change: dict[str, Any]) -> None:
    """A worker checks what it is asked for; no path can be in it."""
    with pytest.raises(FarmError):
        wire.unpack(wire.Job, message(JOB | change))


def test_where_files_go_the_worker_decides_alone(tmp_path: Path) -> None:
    """Everything is in the place that it has made for the job."""
    job, _ = wire.unpack(wire.Job, message(JOB))
    order = machine._order(job, tmp_path / "a", WavesSettings())

    assert {tmp_path} == {Path(order.wav_path).parent, Path(order.body).parent}
    assert ("", "") == (order.directory, order.temporary)


def test_the_algorithm_changes_with_what_makes_waves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another line in a file is another algorithm; other ends of lines are not."""
    for folder in ("audio", "v3"):
        (tmp_path / folder).mkdir()
    (tmp_path / "decompose_v3.py").write_bytes(b"1\n")
    (tmp_path / "worker.py").write_bytes(b"")
    monkeypatch.setattr(wire, "_WAVES", tmp_path)
    compute = wire.algorithm.__wrapped__
    first = compute()

    (tmp_path / "decompose_v3.py").write_bytes(b"1\r\n")
    assert first == compute()
    (tmp_path / "v3" / "gain.py").write_bytes(b"1\n")
    second = compute()
    (tmp_path / "v3" / "gain.py").write_bytes(b"2\n")
    assert 3 == len({first, second, compute()})


async def heard(*messages: bytes) -> presence.Presence:
    """Return what a server knows after messages."""
    made = presence.Presence("server")
    for data in messages:
        await made.hear(cast("Any", type("Message", (), {"data": data})))
    return made


@pytest.mark.parametrize(
    "change",
    [
        {"role": "x"},
        {"role": ["worker"]},
        {"id": "x"},
        {"workers": -1},
        {"workers": 10**9},
        {"workers": True},
    ],
    ids=str,
)
def test_who_is_not_there(change: dict[str, Any]) -> None:
    """A message that says nothing useful counts for nothing."""
    known = asyncio.run(heard(message(HERE | change), b"x", json.dumps(HERE).encode()))

    assert [] == known.others


def test_who_is_there() -> None:
    """A worker is known with a name that can be shown; another version is named once."""
    hostile = HERE | {"machine": "a\x1b[31m"}
    other = HERE | {"algorithm": "other", "version": "2", "id": NUMBER[::-1]}
    with capture_logs() as logged:
        known = asyncio.run(heard(*[message(one) for one in (hostile, other, other)]))

    (one,) = known.others
    assert "a [31m" == one.machine
    assert ["2"] == [line["its_version"] for line in logged]
