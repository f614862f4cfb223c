"""The reader of a soak: a process that opens every visible WAV over HTTP until its stdin ends.

    python -m tests.soak.reader URL ARTIFACTS SPOILT

It knows of the server what a player knows: names and HTTP. SPOILT is a file that names, one a line,
the recordings that the soak damages on purpose, written before it does. Three waves are moved into
place one after the other, so a reader may see one or two for a moment, longer if the worker is
killed right there; what must not be is a set that stays like that. At the end everything is opened
once more and the counts are printed as JSON.
"""

import hashlib
import io
import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

import httpx2
import soundfile as sf

TREES = ("tts", "waves")
PAUSE_S = 0.5
PARTIAL_LIMIT_S = 15.0
"""A worker that was stopped between two moves is killed at its deadline; then its set goes."""
Identity = tuple[str, int, int]


@dataclass
class Reader:
    """Opens what is there and remembers what was wrong."""

    client: httpx2.Client
    root: Path
    spoilt_list: Path
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seen: set[Identity] = field(default_factory=set)
    partial_since: dict[str, float] = field(default_factory=dict)

    def look(self) -> None:
        """Open what is new and look for sets that are not whole."""
        self.counts["rounds"] += 1
        for path in self._visible():
            try:
                status = path.stat()
            except OSError:
                continue  # deleted with its session
            identity = (str(path), status.st_ino, status.st_mtime_ns)
            if identity not in self.seen:
                self.seen.add(identity)
                self._open(path)
        self._look_for_partial_sets()

    def check_records(self) -> None:
        """Open what the records name: that must be there, to the byte."""
        for path in (self.root / "waves/sessions").glob("*/session.json"):
            for utterance in json.loads(path.read_bytes())["utterances"]:
                for entry in utterance.get("files") or ():
                    response = self.client.get(f"/v1/audio/{entry['path']}")
                    self.counts["recorded files"] += 1
                    if hashlib.sha256(response.content).hexdigest() != entry["sha256"]:
                        self.wrong.append(f"{entry['path']}: not what the record says")

    def _visible(self) -> Iterator[Path]:
        for tree in TREES:  # os.walk() passes over what is deleted meanwhile; glob() raises
            for directory, _, names in os.walk(self.root / tree / "sessions"):
                yield from (Path(directory) / name for name in names if name.endswith(".wav"))

    def _open(self, path: Path) -> None:
        name = path.relative_to(self.root).as_posix()
        response = self.client.get(f"/v1/audio/{name}")
        self.counts["opened"] += 1
        if response.status_code != 200:
            if path.exists():
                self.wrong.append(f"{name}: status {response.status_code}")
            return
        problem = _problem(response)
        if problem and name not in self.spoilt_list.read_text(encoding="utf-8").split():
            self.wrong.append(f"{name}: {problem}")

    def _look_for_partial_sets(self) -> None:
        waves = Counter(
            str(path).rpartition("_v3_wave")[0]
            for path in self._visible()
            if "_v3_wave" in path.name
        )
        partial = {base for base, count in waves.items() if count != 3}
        self.counts["sets seen while they were moved"] += len(partial - set(self.partial_since))
        now = monotonic()
        self.partial_since = {base: self.partial_since.get(base, now) for base in partial}
        for base, since in self.partial_since.items():
            if now - since > PARTIAL_LIMIT_S:
                self.wrong.append(f"{base}: {waves[base]} of 3 waves for {now - since:.0f} s")


def _problem(response: httpx2.Response) -> str:
    """Return what is wrong with a WAV, nothing if it is whole."""
    body = response.content
    if len(body) != int(response.headers["content-length"]):
        return f"{len(body)} bytes of {response.headers['content-length']}"
    if int.from_bytes(body[4:8], "little") + 8 != len(body):
        return f"{len(body)} bytes, the header says otherwise"
    try:
        samples, _ = sf.read(io.BytesIO(body), dtype="int16")
    except sf.SoundFileError as error:
        return str(error)
    return "" if len(samples) else "no samples"


def main() -> None:
    url, root, spoilt_list = sys.argv[1:]
    ended = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    with httpx2.Client(base_url=url, timeout=30) as client:
        reader = Reader(client, Path(root), Path(spoilt_list))
        while not ended.wait(PAUSE_S):
            reader.look()
        reader.seen.clear()
        reader.look()
        reader.check_records()
    at_rest = len(reader.partial_since)
    print(json.dumps({**reader.counts, "partial sets at rest": at_rest, "wrong": reader.wrong}))


if __name__ == "__main__":
    main()
