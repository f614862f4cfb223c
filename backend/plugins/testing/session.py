"""A session that was recorded, to be played to a plugin without agents, voices or visitors."""

import asyncio
import math
import struct
import wave
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from backend.plugins.contract import Host
from backend.signals import emit
from backend.storage import Artifacts, new_session_id
from backend.tracking import Recorded, parse_recording

RECORDED_ID = "20261122T180405Z-1f2e3d4c"
RATE_HZ = 8000
TONE_HZ = 220


@dataclass(frozen=True, slots=True)
class RecordedSession:
    """A session of six slots: every signal of the host, then those of `waves` and `mood`.

    Signals of a plugin whose `signals` module is not imported are left out.
    """

    session_id: str
    signals: tuple[Recorded, ...]

    async def play(self) -> None:
        """Emit the signals in their order; between two of them, tasks may run."""
        for one in self.signals:
            emit(one.signal, self, one.event)
            await asyncio.sleep(0)


def recorded_session(root: Path) -> RecordedSession:
    """Return the session with an id of its own; the files that it names are short tones."""
    session_id = new_session_id()
    contents = Path(__file__).with_name("session.jsonl").read_text("utf-8")
    renamed = contents.replace(RECORDED_ID, session_id).encode()
    signals = parse_recording(renamed, session_id, root).signals
    tone = [math.sin(2 * math.pi * TONE_HZ * n / RATE_HZ) for n in range(RATE_HZ // 4)]
    frames = struct.pack(f"<{len(tone)}h", *(round(10_000 * y) for y in tone))
    for path in {path for one in signals for path in _paths(one.event)}:
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(frames)
    return RecordedSession(session_id, signals)


def _paths(value: Any) -> Iterator[Path]:
    """Yield the files that a payload names."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, tuple):
        for one in value:
            yield from _paths(one)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _paths(getattr(value, field.name))


def host_of(root: Path, name: str = "test") -> Host:
    """Return the host of a plugin under test, where the plugins of the session seem to run."""
    host = Host(Artifacts(root), lambda _, __: None, name, "http://127.0.0.1:8000")
    for sender in ("waves", "mood"):
        host.board.open_service(sender, None)
    return host
