"""`reflective-resonance stats`: the figures of the server that runs, as a table."""

from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import ReflectiveResonanceError
from backend.plugins import Server, server_in_settings
from backend.terminal import AsJson, duration, output, show_json, show_table

if TYPE_CHECKING:
    from plugins.metrics.figures import Figure

LIMIT_S = 10.0
REFUSALS = {
    401: "asks for its token: set RR_API_TOKEN to the same value here",
    404: "has no figures: is it this program, and RR_METRICS_ENABLED not false?",
    503: "has no figures: its plugin `metrics` does not run; see its log",
}

app = typer.Typer(name="stats", help="The figures of the server that runs, as a table.")


class NoFiguresError(ReflectiveResonanceError):
    """A server has no figures; the message says why and what to do."""


@app.command()
def stats(
    url: Annotated[
        str | None, typer.Option(help="Address of the server; by default that of the settings.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the figures of the server that runs: sessions, waves, times, plugins, disk.

    Exit code: 0 on success, 1 if no server answers with figures, 2 on wrong settings.
    """
    server = server_in_settings()
    if url:  # another one, whose certificate is checked as in a browser
        server = Server(url if "://" in url else f"http://{url}", server.token)
    base = server.base_url
    figures = _fetch(server)
    if as_json:
        show_json({"url": base, "figures": figures})
    else:
        output().out(f"show at {base}")
        _show(figures)


def _fetch(server: Server) -> "list[Figure]":
    """Return the figures of a server."""
    import httpx2

    from plugins.metrics.figures import read

    base = server.base_url
    try:
        with server.client(LIMIT_S) as client:
            answer = client.get(f"{base.rstrip('/')}/metrics")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NoFiguresError(
            f"No server answers at {base} ({type(error).__name__}). Start one with "
            "`reflective-resonance serve`, or say where it is with --url."
        ) from error
    status = answer.status_code
    if status != 200:
        refusal = REFUSALS.get(status, f"answers with status {status}")
        raise NoFiguresError(f"The server at {base} {refusal}.")
    try:
        figures = read(answer.text)
    except ValueError:
        figures = []
    if not any(figure["name"].startswith("reflective_resonance") for figure in figures):
        raise NoFiguresError(
            f"What answers at {base} is no Reflective Resonance: say where it is with --url."
        )
    return figures


def _show(figures: "list[Figure]") -> None:
    """Print the figures that are not zero, then the times."""
    counts, times = [], []
    for figure in figures:
        doc, name = figure["help"].removesuffix("."), figure["name"]
        rows = []
        for value in figure["values"]:
            labels = ", ".join(value["labels"].values()).replace("_", " ")
            if figure["type"] == "histogram":
                spans = [_quantity(value[key], name) for key in ("mean", "p50", "p95")]
                times.append((doc, labels, *spans, str(value["count"])))
            elif name.endswith("plugin_state") and value["value"]:
                rows.append((doc, value["labels"]["plugin"], value["labels"]["state"]))
            elif value["value"] or not labels:
                rows.append((doc, labels, _quantity(value["value"], name)))
        if figure["type"] != "histogram":
            counts += rows or [(doc, "", "none")]
    show_table(("Figure", "", ""), counts)
    show_table(("Distribution", "", "Mean", "Half within", "95 % within", "Number"), times)


def _quantity(value: float | None, name: str) -> str:
    """Return a value in the unit that the name of its figure ends with."""
    from rich.filesize import decimal

    if value is None:
        return "-"
    if name.endswith("_seconds"):
        return duration(value)
    if name.endswith("_bytes"):
        return decimal(int(value))
    return f"{value:.6g}" if value % 1 else f"{value:.0f}"
