"""`reflective-resonance waves decompose`: make waves of any files, with the server's pool."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any
from unicodedata import normalize

import typer

from backend.errors import EXIT_FAILED, UsageError
from backend.plugins import interruptible
from backend.storage import make_directory
from backend.terminal import AsJson, duration, show_json, show_table
from plugins.waves.cli.backfill import backfill
from plugins.waves.cli.progress import Farm, Workers, load, of_size, results, show_machines
from plugins.waves.cli.water import water
from plugins.waves.cli.worker import worker
from plugins.waves.errors import ProfileError
from plugins.waves.settings import WavesSettings

if TYPE_CHECKING:
    from plugins.waves.pool import Outcome
    from plugins.waves.worker import Order

FIGURES = ("rmse", "nrmse", "snr_db", "envelope_correlation", "clipped_samples", "voiced_ratio")

app = typer.Typer(
    name="waves", no_args_is_help=True, help="Make waves from recordings, without a server."
)

app.command()(backfill)
app.command()(water)
app.command()(worker)


@dataclass(frozen=True, slots=True)
class Source:
    """A recording, the directory for its waves, and the slot that its name says."""

    path: Path
    directory: Path

    @property
    def slot_id(self) -> int:
        """Return the slot that the file's name says; 1 if it says none."""
        from backend.storage import SpeechName

        named = SpeechName.parse(self.path.name)
        return named.slot_id if named else 1

    def targets(self, profile: str) -> tuple[Path, ...]:
        """Return where its waves by a profile go."""
        from plugins.waves import profiles
        from plugins.waves.files import targets_in

        count = 3 if profile == "v3" else len(profiles.find(profile).targets(self.slot_id))
        return targets_in(self.directory, self.path, profile, count)


@dataclass(slots=True, eq=False)
class Recording:
    """The job of one file; see `plugins.waves.pool.lane.Work`."""

    path: str
    order: "Order"
    ended: "SimpleQueue[tuple[str, Outcome]]"

    def begin(self, queued_ms: float) -> "Order":  # noqa: ARG002 - the pool's protocol
        """Return the order for the worker."""
        return self.order

    def end(self, outcome: "Outcome") -> None:
        """Pass the outcome to the main thread."""
        self.ended.put((self.path, outcome))


@app.command()
def decompose(
    paths: Annotated[
        list[Path],
        typer.Argument(help="WAV files, and directories to search for them.", exists=True),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            file_okay=False,
            help="The directory for the waves; created if it does not exist.",
        ),
    ],
    profile: Annotated[
        list[str] | None,
        typer.Option("--profile", help="v3, slots, faraday or one of a package; repeat it."),
    ] = None,
    workers: Workers = None,
    farm: Farm = None,
    as_json: AsJson = False,
) -> None:
    """Make the waves of each recording: by v3 three of them.

    The waves of a file are written to --out, those of a file in a directory to the same place below
    --out. A recording that is given twice, also by a link of the same name, is done once. Two
    recordings whose waves would have the same names, also if only capitals differ, are refused
    before any is done: run the command once for each, with another --out.

    Exit code: 0 on success, 1 if a file failed, 2 on wrong usage, 130 on Ctrl-C.
    """
    settings = load(farm)
    started = monotonic()
    chosen = _profiles(profile)
    sources = _check(_find(paths, out), paths, chosen)
    rows = _run(sources, chosen, out, settings, workers)
    failed = sum(not row["ok"] for row in rows)
    made_by = {row["path"]: row["machine"] for row in rows if row["ok"]}
    if as_json:
        show_json({"files": rows, "done": len(rows) - failed, "failed": failed})
    else:
        _show(rows)
        show_machines(settings.farm, made_by.values(), started)
    raise typer.Exit(EXIT_FAILED if failed else 0)


def _profiles(named: Sequence[str] | None) -> Sequence[str]:
    from plugins.waves import profiles

    chosen = list(dict.fromkeys(named or ["v3"]))
    try:
        for name in {*chosen} - {"v3"}:
            profiles.find(name)
    except ProfileError as error:
        raise UsageError(f"--profile: {error}") from error
    return chosen


def _find(paths: Sequence[Path], out: Path) -> Iterator[Source]:
    """Yield the recordings at `paths`; those of a directory keep their place below it."""
    from backend.storage import WAV_SUFFIX, is_wave_name

    for path in paths:
        if not path.is_dir():
            yield Source(path, out)
            continue
        for found in sorted(path.rglob("*")):
            is_wav = found.suffix.lower() == WAV_SUFFIX
            if is_wav and not is_wave_name(found.name) and found.is_file():
                yield Source(found, out / found.parent.relative_to(path))


def _check(found: Iterable[Source], paths: Sequence[Path], profiles: Sequence[str]) -> list[Source]:
    """Return each recording once; refuse two that would write the same waves, or none at all.

    Names that differ in case or Unicode normal form count as the same, as on some disks.
    """
    from plugins.waves.files import base_name

    named: dict[str, Source] = {}
    taken: dict[str, Source] = {}
    for source in found:
        if _absolute(source.path) in named:
            continue
        place = _absolute(source.directory / base_name(source.path))
        other = taken.setdefault(normalize("NFC", place).casefold(), source)
        if other is source:
            named[_absolute(source.path)] = source
        elif not other.path.samefile(source.path):
            raise UsageError(
                f"{other.path} and {source.path} would write the same waves: "
                "decompose them with an --out for each"
            )
    if not named:
        raise UsageError(f"no WAV file in {', '.join(map(str, paths))}")
    real = {os.path.realpath(source.path): source.path for source in named.values()}
    for source in named.values():
        for target in (target for name in profiles for target in source.targets(name)):
            if (lost := real.get(os.path.realpath(target))) is not None:
                raise UsageError(f"the waves of {source.path} would overwrite {lost}")
    return list(named.values())


def _run(
    sources: Sequence[Source],
    profiles: Sequence[str],
    out: Path,
    settings: WavesSettings,
    workers: int | None,
) -> list[dict[str, Any]]:
    """Decompose with a progress bar; return a row for each source and profile, in their order."""
    from plugins.waves.plugin import create_pool

    ended: SimpleQueue[tuple[str, Outcome]] = SimpleQueue()
    try:
        make_directory(out)
        temporary = tempfile.mkdtemp(prefix=".waves-", dir=out)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error}") from error
    sized = of_size(settings, len(sources), workers)
    create = partial(create_pool, sized, Path(temporary), low_priority=False)
    orders = (_order(source, profiles, temporary, settings) for source in sources)
    jobs = (Recording(order.wav_path, order, ended) for order in orders)
    try:
        with interruptible("the waves made so far are whole"):
            done = dict(results(create, jobs, len(sources), ended))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [
        row for source in sources for row in _rows(source, profiles, done[_absolute(source.path)])
    ]


def _order(
    source: Source, profiles: Sequence[str], temporary: str, settings: WavesSettings
) -> "Order":
    from plugins.waves import worker

    return worker.Order(
        wav_path=_absolute(source.path),
        directory=_absolute(source.directory),
        temporary=_absolute(Path(temporary)),
        root=None,
        max_duration_s=settings.max_duration_s,
        engine=settings.engine,
        slot_id=source.slot_id,
        profiles=tuple((name, settings.of_profile(name)) for name in profiles),
    )


def _rows(source: Source, profiles: Sequence[str], outcome: "Outcome") -> Iterator[dict[str, Any]]:
    """Yield a row for each profile; a recording of which nothing was made has one."""
    data = outcome.report.data
    why = {"reason": outcome.reason, "message": outcome.message}
    sets: Any = data.get("sets", ({"profile": profiles[0], "files": (), **why},))
    for made in sets:
        yield {
            "path": str(source.path),
            "profile": made["profile"],
            "ok": not made.get("reason"),
            "reason": made.get("reason", ""),
            "message": made.get("message", ""),
            "files": [path for path, *_ in made["files"]],
            **{name: data.get(name) for name in ("duration_s", "warnings")},
            **{name: made.get(name) for name in FIGURES},
            "running_ms": round(outcome.running_ms, 1),
            "machine": data.get("machine", ""),
        }


def _show(rows: Sequence[dict[str, Any]]) -> None:
    table = []
    for row in rows:
        figures = ("", "", "")
        result = f"{row['reason']}: {row['message']}"
        if row["ok"]:
            figures = (
                duration(row["duration_s"]),
                f"{row['rmse']:.4f}",
                str(row["clipped_samples"]),
            )
            result = f"{len(row['files'])} of {row['profile']}"
        table.append((row["path"], *figures, duration(row["running_ms"] / 1000), result))
    show_table(("File", "Length", "RMSE", "Clipped", "Took", "Result"), table)


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link is the reader's business
