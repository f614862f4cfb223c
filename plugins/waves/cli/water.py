"""`reflective-resonance waves water`: what waves would do to a dish of water."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from backend.errors import EXIT_FAILED, UsageError
from backend.plugins import interruptible
from backend.terminal import AsJson, duration, messages, show_json, show_table
from plugins.waves.errors import AudioError

if TYPE_CHECKING:
    from plugins.waves.water import Dish

STILL_MM = 0.05
"""What nobody sees, and noise alone may reach."""
_SIZE = re.compile(r"([0-9.]+)x([0-9.]+)")


def water(
    paths: Annotated[
        list[Path],
        typer.Argument(
            help="WAV files, or directories: their waves, else all WAV files.", exists=True
        ),
    ],
    dish: Annotated[
        str, typer.Option(metavar="RADIUSxDEPTH", help="Of the water in the dish, in millimetres.")
    ] = "75x10",
    liquid: Annotated[
        str, typer.Option(help="water, glycerol20, glycerol40 (% by mass) or milk.")
    ] = "water",
    gain: Annotated[
        float,
        typer.Option(
            min=0.01,
            max=20,
            help="Acceleration of the dish at full scale, in g: your transducer's.",
        ),
    ] = 1.0,
    picture: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write an animated PNG of the highest water."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say when and how high water in a dish would move.

    Each file shakes a dish by itself, from rest. Water answers at half the frequency, once the
    acceleration is over a threshold and has lasted; see plugins/waves/water.

    Exit code: 0 on success, 1 if a file cannot be read, 2 on wrong usage, 130 on Ctrl-C.
    """
    shaken = _dish(dish, liquid)
    if picture is not None and picture.suffix.lower() != ".png":
        raise UsageError(f"--picture {picture}: it is an animated PNG: let the name end in .png")
    if picture is not None and not picture.parent.is_dir():
        raise UsageError(f"--picture {picture}: there is no folder {picture.parent}")
    files = [file for path in paths for file in _found(path)]
    if not files:
        raise UsageError(f"no WAV file in {', '.join(map(str, paths))}")
    with interruptible("nothing is changed"):
        rows = [_row(file, shaken, gain) for file in files]
        read = [row for row in rows if row["ok"]]
        if picture is not None and read:
            highest = max(read, key=lambda row: row["highest_mm"])
            _draw(Path(highest["path"]), shaken, gain, picture)
    if as_json:
        show_json({"files": rows})
    else:
        common = _common([file.resolve().parent for file in files])
        show_table(
            ("File", "Length", "0.5 mm after", "Highest", "Answers at"),
            [_cells(row, common) for row in rows],
        )
    raise typer.Exit(0 if all(row["ok"] for row in rows) else EXIT_FAILED)


def _found(path: Path) -> list[Path]:
    from backend.storage import is_wave_name

    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("*.wav"))
    return [file for file in found if is_wave_name(file.name)] or found


def _dish(size: str, liquid: str) -> "Dish":
    from plugins.waves.water import LIQUIDS, Dish

    if (found := _SIZE.fullmatch(size)) is None:
        raise UsageError(f"--dish {size}: write radius and depth in millimetres, such as 75x10")
    if liquid not in LIQUIDS:
        raise UsageError(f"--liquid {liquid}: choose one of {', '.join(LIQUIDS)}")
    try:
        return Dish(float(found[1]) / 1000, float(found[2]) / 1000, LIQUIDS[liquid])
    except ValueError as error:
        raise UsageError(f"--dish {size}: {error}") from error


def _row(file: Path, dish: "Dish", gain: float) -> dict[str, Any]:
    from plugins.waves.audio import reader
    from plugins.waves.water import RATE, G, respond

    try:
        wave = reader.read(file, rate=RATE)
    except AudioError as error:
        return {"path": str(file), "ok": False, "message": str(error)}
    response = respond(dish, wave.samples, gain * G)
    return {
        "path": str(file),
        "ok": True,
        "duration_s": round(wave.duration_s, 3),
        "seen_after_s": response.seen_after_s,
        "highest_mm": round(1000 * response.highest_m, 4),
        "highest_at_s": round(response.highest_at_s, 3),
        "answer_hz": round(response.answer_hz, 2),
    }


def _common(folders: list[Path]) -> str:
    try:
        return os.path.commonpath(folders)
    except ValueError:  # on several drives
        return ""


def _cells(row: dict[str, Any], common: str) -> tuple[str, ...]:
    """Return a row of the table; a file is named by its path below the folder `common` to all."""
    path = Path(row["path"]).resolve()
    name = os.path.relpath(path, common) if common else str(path)
    if not row["ok"]:
        return (name, "", "", row["message"], "")
    seen = row["seen_after_s"]
    if row["highest_mm"] < STILL_MM:
        return (name, duration(row["duration_s"]), "never", "still", "")
    return (
        name,
        duration(row["duration_s"]),
        "never" if seen is None else f"{seen:.2f} s",
        f"{row['highest_mm']:.3g} mm after {row['highest_at_s']:.2f} s",
        f"{row['answer_hz']:.1f} Hz",
    )


def _draw(file: Path, dish: "Dish", gain: float, picture: Path) -> None:
    from plugins.waves.audio import reader
    from plugins.waves.water import FRAMES, RATE, G, Surface, write_animation

    wave = reader.read(file, rate=RATE)
    surface = Surface(dish)
    looks = (surface.heights() for _ in surface.steps(gain * G * wave.samples))
    try:
        write_animation(picture, looks, len(wave.samples) // (RATE // FRAMES), FRAMES)
    except OSError as error:
        raise UsageError(f"cannot write {picture}: {error}") from error
    messages().print(f"{picture} shows the water of {file}")
