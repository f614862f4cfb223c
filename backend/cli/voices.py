"""The command `voices`: speaks the same words with every voice and measures the results."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from backend.config import Settings
from backend.errors import SettingsError, SpeechError
from backend.speech import (
    ENGINES,
    PROFILES,
    SpeechEngine,
    create_engine,
    engine_names,
    load_voices,
)
from backend.terminal import duration, output, show_paragraph, show_table


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine, and whether it is in use."""

    name: str
    use: str
    """speaks, fallback or not in use."""
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A profile as one engine speaks it, measured."""

    engine: str
    profile: str
    path: str | None = None
    duration_s: float | None = None
    level_dbfs: float | None = None
    peak_dbfs: float | None = None
    pitch_hz: tuple[int, int] | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All engines, and a sample of each profile of those in use."""

    engines: list[EngineState]
    samples: list[Sample]

    @property
    def ok(self) -> bool:
        """Whether every engine in use spoke every profile."""
        problems = [state.problem for state in self.engines]
        problems += [sample.problem for sample in self.samples]
        return not any(problems)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, with `ok`."""
        return {"ok": self.ok, **asdict(self)}


def audition(settings: Settings, text: str, out: Path, progress: Console) -> Report:
    """Speak `text` with every profile of every engine in use, into `out`."""
    load_voices(settings.voices_file)  # a wrong file is an error of its own, not of each engine
    in_use = engine_names(settings)
    engines: list[EngineState] = []
    samples: list[Sample] = []
    for name in in_use:
        use = "speaks" if name == in_use[0] else "fallback"
        progress.print(f"{name} ...", style="dim")
        try:
            engine = create_engine(
                name, settings, temporary=out, timeout_s=settings.speech_timeout_s
            )
        except SettingsError as error:
            engines.append(EngineState(name, use, str(error)))
            continue
        engines.append(EngineState(name, use))
        try:
            samples += [_sample(engine, profile, text, out) for profile in PROFILES]
        finally:
            engine.close()
    engines += [EngineState(name, "not in use") for name in ENGINES if name not in in_use]
    return Report(engines, samples)


def _sample(engine: SpeechEngine, profile: str, text: str, out: Path) -> Sample:
    from backend.speech.sound import active_level, decode, peak_level, pitch_range

    path = out / f"{engine.name}_{profile}.wav"
    try:
        spoken = engine.generate_wav_to_file(text, profile, path)
    except SpeechError as error:
        return Sample(engine.name, profile, problem=str(error))
    y, _ = decode(path.read_bytes())
    pitch_hz = pitch_range(y, spoken.sample_rate)
    return Sample(
        engine.name,
        profile,
        str(path),
        duration_s=round(spoken.duration_s, 2),
        level_dbfs=round(active_level(y, spoken.sample_rate), 1),
        peak_dbfs=round(peak_level(y), 1),
        pitch_hz=pitch_hz and (round(pitch_hz[0]), round(pitch_hz[1])),
    )


def show(report: Report) -> None:
    """Print the engines, and a table of the samples."""
    console = output()
    for state in report.engines:
        problem = f": {state.problem}" if state.problem else ""
        line = f"engine {state.name}: {state.use}{problem}"
        show_paragraph(console, line, style="red" if problem else "")
    rows = [(Path(sample.path).name, *_figures(sample)) for sample in report.samples if sample.path]
    if rows:
        show_table(("Sample", "Duration", "Level", "Peak", "Pitch"), rows)
    for sample in report.samples:
        if sample.problem:
            line = f"{sample.engine} {sample.profile}: {sample.problem}"
            show_paragraph(console, line, style="red")
    if paths := [sample.path for sample in report.samples if sample.path]:
        console.out(f"the samples are in {Path(paths[0]).parent}")


def _figures(sample: Sample) -> tuple[str, str, str, str]:
    pitch = "-" if sample.pitch_hz is None else "{}-{} Hz".format(*sample.pitch_hz)
    level, peak = f"{sample.level_dbfs} dBFS", f"{sample.peak_dbfs} dBFS"
    return duration(sample.duration_s or 0), level, peak, pitch
