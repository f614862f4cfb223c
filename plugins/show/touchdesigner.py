"""`reflective-resonance touchdesigner`: the callbacks of a WebSocket DAT for this installation."""

from importlib.resources import files
from typing import Annotated
from urllib.parse import urlsplit

import typer

from backend.plugins import server_in_settings
from backend.terminal import output
from plugins.show.settings import ShowSettings

PATH = "/v1/events"

app = typer.Typer(name="touchdesigner")


@app.command()
def touchdesigner(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST", help="Name or address of the server for the TouchDesigner machine."
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="Port of the server.")] = None,
) -> None:
    """Print the callbacks of a TouchDesigner WebSocket DAT for this installation."""
    server = urlsplit(server_in_settings().base_url)
    settings = ShowSettings.load()
    name = host or server.netloc.rpartition(":")[0]
    text = callbacks(name, port or server.port or 80, settings.heartbeat_s, server.scheme)
    output().out(text, end="")


def callbacks(host: str, port: int, heartbeat_s: float, scheme: str = "http") -> str:
    """Return the text for a server at `host`:`port`."""
    text = (files("plugins.show") / "touchdesigner.txt").read_text("ascii")
    values = {
        "SCHEME": scheme,
        "SECURE": "wss://" if scheme == "https" else "",
        "HOST": host,
        "PORT": port,
        "PATH": PATH,
        "HEARTBEAT_S": heartbeat_s,
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text
