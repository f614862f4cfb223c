"""What was measured in a simulated day, as the answers to an artist's questions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import ceil
from typing import Any, TypeVar

from rich.filesize import decimal

from backend.cli.simulation.day import Measured
from backend.cli.simulation.plan import HOUR_S, Plan
from backend.storage import WAVE_NUMBERS
from backend.terminal import duration, output, show_paragraph, show_table

DAY_S = 86_400
PARTS = 96
"""Of the day: five minutes each, of eight hours; longer ones if it takes longer."""
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}
LIMITS = (
    ("RR_RETENTION_TTS_TTL_MIN", 60, ""),
    ("RR_RETENTION_WAVES_TTL_H", HOUR_S, ""),
    ("RR_RETENTION_TTS_MAX_MB", 10**6, "speech"),
    ("RR_RETENTION_WAVES_MAX_MB", 10**6, "waves"),
    ("RR_RETENTION_TTS_KEEP_LAST", 1, "sessions"),
    ("RR_RETENTION_WAVES_KEEP_LAST", 1, "sessions"),
)
"""Each with its unit, and of what it is a limit; without that, it is an age in seconds."""
Report = dict[str, Any]
T = TypeVar("T")


def report(plan: Plan, measured: Measured, settings: Mapping[str, str]) -> Report:
    """Return the report as plain data; `settings` are the server's, by variable."""
    first, last = measured.samples[0].now, measured.samples[-1].now
    before = first["gauges"]
    dropped = {
        name: value - before.get(name, 0)
        for name, value in last["gauges"].items()
        if name.endswith("dropped") and value > before.get(name, 0)
    }
    problems = [f"{n:.0f} times: {what}" for what, n in (measured.problems | dropped).items()]
    passed_s = plan.hours * HOUR_S
    if measured.ended_early:
        passed_s = max(measured.arrived, default=0.0) * plan.speed
    written, a_day = _disk(plan, measured)
    total = sum(a_day.values())
    days = last["disk"]["freeBytes"] / total if total else None
    part_s = max(plan.opening_s, measured.took_s) / PARTS
    return {
        "ok": not problems and not measured.ended_early,
        "ended_early": measured.ended_early,
        "problems": problems,
        "asked": asdict(plan),
        "took_s": round(measured.took_s, 3),
        "passed_s": round(passed_s),
        "speed_reached": round(passed_s / measured.took_s, 2),
        "visitors": len(measured.arrived),
        "visitors_that_waited": sum(took > 1 for _, took in measured.spans.get("place", ())),
        "refused": {str(status): number for status, number in measured.refused.items()},
        "sessions": measured.sessions,
        "utterances": measured.utterances,
        "with_waves": measured.waves,
        "with_waves_later": measured.made_later,
        "dropped": dropped,
        "seconds": {
            stage: percentiles([took_s for _, took_s in spans])
            for stage, spans in measured.spans.items()
        },
        "memory_bytes": {
            process: {"begin": series[0], "end": series[-1], "most": max(series)}
            for process in first["memoryBytes"]
            if (series := [one.now["memoryBytes"][process] for one in measured.samples])
        },
        "bytes_written": written,
        "bytes_a_day": {**a_day, "total": total},
        "free_bytes": last["disk"]["freeBytes"],
        "disk_full_after_s": None if days is None else _after_s(days, plan),
        "retention": retention(settings, a_day, plan),
        "day": [_part(plan, measured, at * part_s, (at + 1) * part_s) for at in range(PARTS)],
    }


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return their number, and percentiles by nearest rank."""
    ordered = sorted(values)
    shares = PERCENTILES.items() if ordered else ()
    ranks = {name: ceil(share * len(ordered)) - 1 for name, share in shares}
    return {"n": len(ordered), **{name: round(ordered[at], 4) for name, at in ranks.items()}}


def retention(settings: Mapping[str, str], a_day: Mapping[str, float], plan: Plan) -> Report:
    """Return when retention would begin after the first opening, on an empty disk, and why."""
    if settings.get("RR_RETENTION_ENABLED") != "true":
        return {"begins_after_s": None, "because": "never: RR_RETENTION_ENABLED is not true"}
    a_day = {**a_day, "sessions": plan.per_hour * plan.hours}
    begins = {
        f"{name}={settings[name]}": _after_s(value * unit / a_day[of], plan) if of else value * unit
        for name, unit, of in LIMITS
        if (value := float(settings.get(name, 0))) and (not of or a_day[of])
    }
    if not begins:
        return {"begins_after_s": None, "because": "never: no limit is set"}
    because = min(begins, key=begins.__getitem__)
    return {"begins_after_s": round(begins[because]), "because": because}


def _disk(plan: Plan, measured: Measured) -> tuple[dict[str, int], dict[str, int]]:
    """Return what was written, and what that is in a day, by utterance that is done.

    An utterance has three files of waves, or more; each session has a manifest beside them. What
    the retention removed meanwhile was written, too.
    """
    first, last = measured.samples[0].now, measured.samples[-1].now
    was, now = first["disk"], last["disk"]
    freed = [one["gauges"].get("retention.freed_bytes", 0) for one in (first, last)]
    written = {
        "speech": now["usedBytes"]["tts"] - was["usedBytes"]["tts"],
        "waves": now["usedBytes"]["waves"] - was["usedBytes"]["waves"],
        "removed": int(freed[1] - freed[0]),
    }
    files = now["usedFiles"]["waves"] - was["usedFiles"]["waves"] - measured.sessions
    utterances = measured.samples[-1].utterances
    with_waves = min(files / len(WAVE_NUMBERS), measured.waves + measured.made_later)
    of = {"speech": utterances, "waves": with_waves, "removed": utterances}
    in_a_day = plan.per_hour * plan.hours * measured.utterances / (measured.sessions or 1)
    a_day = {
        kind: round(size / of[kind] * in_a_day) if of[kind] > 0 else 0
        for kind, size in written.items()
    }
    return written, a_day


def _after_s(days: float, plan: Plan) -> float:
    """Return the time from the first opening to that many days of opening hours."""
    return days // 1 * DAY_S + days % 1 * plan.hours * HOUR_S


def _part(plan: Plan, measured: Measured, begin_s: float, end_s: float) -> Report:
    """Return a part of the day."""

    def within(values: Iterable[tuple[float, T]]) -> list[T]:
        return [value for at_s, value in values if begin_s <= at_s < end_s]

    spans, samples = measured.spans, measured.samples
    memory = within((one.at_s, sum(one.now["memoryBytes"].values())) for one in samples)
    sessions = [(ended_s - took_s, ended_s) for ended_s, took_s in spans.get("session", ())]
    return {
        "hour": round(begin_s * plan.speed / HOUR_S, 6),
        "arrived": len(within((at_s, None) for at_s in measured.arrived)),
        "running": sum(began_s < end_s <= ended_s for began_s, ended_s in sessions),
        "memory_bytes": max(memory, default=None),
        "first_speech_p95_s": percentiles(within(spans.get("first_speech", ()))).get("p95"),
        "waves_p95_s": percentiles(within(spans.get("waves", ()))).get("p95"),
    }


def show(data: Report) -> None:
    """Print the report for people."""
    show_table(
        ("Time", "Half within", "95 % within", "99 % within", "Longest", "Number"),
        [
            (
                stage.replace("_", " "),
                *(duration(times[name]) for name in PERCENTILES),
                str(times["n"]),
            )
            for stage, times in data["seconds"].items()
        ],
    )
    written, a_day = data["bytes_written"], data["bytes_a_day"]
    show_table(
        ("Disk", "Written", f"In a day of {data['asked']['hours']:g} h"),
        [
            (kind, decimal(written.get(kind, sum(written.values()))), decimal(size))
            for kind, size in a_day.items()
            if size
        ],
    )
    show_table(
        ("Memory", "Begin", "End", "Most"),
        [(name, *map(decimal, sizes.values())) for name, sizes in data["memory_bytes"].items()],
    )
    for line in _sentences(data):
        show_paragraph(output(), line)


def _sentences(data: Report) -> Iterator[str]:
    yield (
        f"{data['visitors']} visitors came; {data['sessions']} sessions came to their end, with "
        f"{data['utterances']} utterances, {data['with_waves']} of them with waves at once"
    )
    yield (
        f"speed: {data['asked']['speed']:g} was asked for, {data['speed_reached']:g} was reached: "
        f"{duration(data['passed_s'])} of the day in {duration(data['took_s'])}"
    )
    waited, later = data["visitors_that_waited"], data["with_waves_later"]
    if waited or later:
        yield (
            f"this speed was too fast: {waited} visitors waited for more than 1 s to be let in, "
            f"{later} utterances found the queue of the waves full and get theirs later"
        )
    for what in ("refused", "dropped"):
        counts = [f"{number:.0f} times {name}" for name, number in data[what].items()]
        yield f"{what}: {', '.join(counts) or 'none'}"
    kept, full_s = data["retention"], data["disk_full_after_s"]
    after_s = kept["begins_after_s"]
    after = f"{duration(after_s)} after the first opening, by " if after_s is not None else ""
    yield f"retention would begin {after}{kept['because']}"
    if full_s is not None:
        free = decimal(data["free_bytes"])
        yield f"the disk has {free} free: without retention it is full after {duration(full_s)}"
