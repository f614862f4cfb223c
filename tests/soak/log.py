"""What the server's log says about utterances and workers."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_LINE = re.compile(r"\S+ \[(\w+) *\] (.*?)(?: +(?=\w+=)|\s*$)")
_FIELD = re.compile(r"(\w+)=('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\S+)")

STARTED, FINISHED, FAILED, DROPPED = (
    "decomposition started",
    "decomposition finished",
    "decomposition failed",
    "utterance dropped",
)
DEATHS = (
    "an idle worker ended; a new one is started",
    "a worker died in a job, which is tried once more",
    "a worker was killed in a job, which is tried again",
    "a worker could not start",
)
EXPECTED_ERRORS = (FAILED, "the outcome could not be recorded")


@dataclass
class Story:
    """What became of every utterance and every worker, as the log tells it."""

    of: Mapping[str, list[str]]
    """Path of a recording -> its events, in order."""
    reasons: Mapping[str, list[str]]
    """Path of a recording -> the reasons it was failed or dropped for."""
    deaths: Counter[int] = field(default_factory=Counter)
    """Process id of a worker -> records of its death."""
    other_errors: list[str] = field(default_factory=list)

    @property
    def ended(self) -> set[str]:
        """The recordings that have an outcome."""
        ends = {FINISHED, FAILED, DROPPED}
        return {path for path, events in self.of.items() if ends & set(events)}


def read(lines: Iterable[str]) -> Story:
    """Read a whole log."""
    of, reasons = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    story = Story(of, reasons)
    for line in lines:
        if (head := _LINE.match(line)) is None:
            continue
        level, event = head.groups()
        fields = {key: value.strip("'\"") for key, value in _FIELD.findall(line)}
        if event in {STARTED, FINISHED, FAILED, DROPPED}:
            path = str(Path(fields["input_path"]))
            of[path].append(event)
            if "reason" in fields:
                reasons[path].append(fields["reason"])
        elif event in DEATHS:
            story.deaths[int(fields["pid"])] += 1
        if level in {"error", "critical"} and event not in EXPECTED_ERRORS:
            story.other_errors.append(line.strip())
    return story
