"""Plugins of other makers, installed into a directory that a command has in its PYTHONPATH."""

from pathlib import Path

TIDES = '''
import typer
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fastapi import APIRouter
from pydantic_settings import SettingsConfigDict
from backend.plugins import Plugin, PluginSettings
from backend.signals import define, tts_written

@dataclass(frozen=True)
class TideTurned:
    """Payload of `tide_turned`."""
    level_m: float
    seen_from: "list[str] | None" = None
    unreadable: "NoSuchClass" = None

tide_turned = define(
    "tide_turned", TideTurned, "The tide has turned.", sender="plugin tides", thread="tide watch"
)
sends = (tide_turned,)
router = APIRouter()

@router.get("/v1/tide")
@router.post("/v1/tide")
def tide(): ...

app = typer.Typer()

@app.command()
def table(): ...

@app.command()
def moon(): ...

class TidesSettings(PluginSettings):
    model_config = SettingsConfigDict(env_prefix="RR_TIDES_")
    height_m: float = 1

@asynccontextmanager
async def lifespan(host, settings):
    with tts_written.connected_to(lambda _, *, event: None):
        yield

plugin = Plugin(
    name="tides", settings=TidesSettings, lifespan=lifespan, router="tides:router",
    commands="tides:app", command="tide", sends="tides:sends", listens=("tts_written",),
)
'''
"""A plugin with everything."""

SILENT = '''
from tides import TidesSettings, lifespan
from backend.plugins import Plugin

class SilentSettings(TidesSettings, env_prefix="RR_SILENT_"):
    """Settings of its own."""

plugin = Plugin(name="silent", settings=SilentSettings, lifespan=lifespan)
'''
"""A plugin that tells nothing beyond what it has to."""

BROKEN = "raise RuntimeError('no moon')"

HALF_BROKEN = SILENT.replace("silent", "half").replace(
    "lifespan=lifespan", "lifespan=lifespan, router='half:no_router'"
)
"""A plugin of which the routes cannot be imported."""


def install(directory: Path, name: str, code: str, version: str = "1.0") -> None:
    """Put a package of one module into `directory`, with the entry point of its plugin."""
    (directory / f"{name}.py").write_text(code, encoding="utf-8")
    info = directory / f"{name}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    points = f"[reflective_resonance.plugins]\n{name} = {name}:plugin\n"
    (info / "entry_points.txt").write_text(points, encoding="utf-8")
