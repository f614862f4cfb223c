"""`reflective-resonance stats`: the figures of the server that runs, as a table."""

from typing import TYPE_CHECKING, Annotated

import typer

from backend.errors import ReflectiveResonanceError
from backend.plugins import server_in_settings
from backend.terminal import show_json

if TYPE_CHECKING:
    from plugins.metrics.figures import Figure

LIMIT_S = 10.0

app = typer.Typer(name="stats", help="The figures of the server that runs, as a table.")


class NoFiguresError(ReflectiveResonanceError):
    """There are none, and why."""


@app.command()
def stats(
    url: Annotated[
        str | None, typer.Option(help="Where the server is, if not where the settings say.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print data on stdout, everything else on stderr.")
    ] = False,
) -> None:
    """Show the figures of the server that runs: sessions, waves, times, plugins, disk.

    Exits with 0 if there are figures, 1 if no server answers with them, 2 on wrong settings.
    """
    from plugins.metrics.table import show

    server = server_in_settings()
    base = url or server.base_url
    if "://" not in base:
        base = f"http://{base}"
    figures = fetch(base, server.token)
    if as_json:
        show_json({"url": base, "figures": [figure.to_dict() for figure in figures]})
    else:
        show(figures, base)


def fetch(base: str, token: str) -> "list[Figure]":
    """Ask the server at `base` for its figures.

    Raises
    ------
    NoFiguresError
        With one sentence for the artist: what is wrong and what to do.
    """
    import httpx2

    from plugins.metrics.figures import read

    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        # a proxy of the surroundings has no business between two programs of one machine
        with httpx2.Client(timeout=LIMIT_S, trust_env=False) as client:
            answer = client.get(f"{base.rstrip('/')}/metrics", headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NoFiguresError(
            f"No server answers at {base} ({type(error).__name__}). Start one with "
            "`reflective-resonance serve`, or say where it is with --url."
        ) from error
    if answer.status_code != 200:
        raise NoFiguresError(_refusal(base, answer.status_code))
    try:
        figures = read(answer.text)
    except ValueError:
        figures = []
    if not any(figure.name.startswith("reflective_resonance") for figure in figures):
        raise NoFiguresError(
            f"What answers at {base} is no Reflective Resonance: say where it is with --url."
        )
    return figures


def _refusal(base: str, status: int) -> str:
    reasons = {
        401: "asks for its token: set RR_API_TOKEN to the same value here",
        404: "has no figures: is it this program, and RR_METRICS_ENABLED not false?",
        503: "has no figures: its plugin `metrics` does not run; see its log",
    }
    return f"The server at {base} {reasons.get(status, f'answers with status {status}')}."
