"""The command `simulate`: lets a day of visitors come to the server that runs."""

import asyncio
from pathlib import Path
from secrets import randbelow
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from backend.config import is_loopback
from backend.errors import EXIT_FAILED, ServerError, UsageError
from backend.plugins import Server, server_in_settings
from backend.terminal import AsJson, messages, show_json, show_paragraph

if TYPE_CHECKING:
    from backend.cli.simulation import Measured, Plan

NEEDED = ("metrics", "stream")
"""The plugins that measure, and tell of waves."""
ONLINE = ("elevenlabs", "openai")
"""The voices that a service on the network speaks."""
SILENCE_LIMIT_S = 60.0
"""The server sends a ping more often."""


def simulate(
    visitors: Annotated[
        int, typer.Option(min=1, max=100, help="The most who are there at once; others wait.")
    ] = 40,
    per_hour: Annotated[
        float, typer.Option(min=0.1, max=10_000, help="Visitors an hour on average, at random.")
    ] = 20,
    hours: Annotated[float, typer.Option(min=0.01, max=24, help="Opening hours of the day.")] = 8,
    speed: Annotated[
        float, typer.Option(min=0.1, max=10_000, help="Times as fast as a real day.")
    ] = 100,
    seed: Annotated[int | None, typer.Option(min=0, help="Makes the visitors repeatable.")] = None,
    picture: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Write a picture of the day there.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Address of the server; by default that of the settings.")
    ] = None,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Also a server that others may use.")
    ] = False,
    allow_costs: Annotated[
        bool, typer.Option("--allow-costs", help="Also agents and voices that cost money.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let a day of visitors come to the server that runs, and report what a show will need.

    Each visitor asks a question, hears the session to its last waves, and goes. One who is refused
    asks again. At speed 100 a day of 8 hours takes 5 minutes, and the server has 100 times the
    load: times and memory are those under that load, the disk a day is the same at any speed. A
    day takes longer where the server is too slow; the report says which speed was reached. Sessions
    are kept as those of any visitor, and remembered by the agents: use a server with
    RR_ARTIFACTS_DIR of its own, and nobody else there.

    Exit code: 0 on success, 1 if something failed or the server does not answer, 2 on wrong usage,
    130 on Ctrl-C, which ends the day and reports what was measured so far.
    """
    from backend.cli.simulation import Plan, report, show
    from backend.cli.simulation import picture as drawn

    server = server_in_settings()
    if url:
        server = Server(url.rstrip("/") if "://" in url else f"http://{url}", server.token)
    if picture is not None and picture.suffix.lower() != ".svg":
        raise UsageError(f"--picture {picture}: it is an SVG: let the name end in .svg")
    if picture is not None and not picture.absolute().parent.is_dir():
        raise UsageError(f"--picture {picture}: {picture.parent} is not a directory")
    settings = _checked(server, allow_remote=allow_remote, allow_costs=allow_costs)
    plan = Plan(visitors, per_hour, hours, speed, randbelow(10**9) if seed is None else seed)
    measured = asyncio.run(_run(server, plan))
    data = report(plan, measured, settings)
    if as_json:
        show_json(data)
    else:
        show(data)
    if picture is not None:
        picture.write_text(drawn(data), encoding="utf-8")
        messages().print(f"the picture is {picture}", markup=False)
    for problem in data["problems"]:
        show_paragraph(messages(), problem, style="red")
    if measured.ended_early == "interrupted":
        raise KeyboardInterrupt("the report is about the part of the day until then")
    if measured.ended_early:
        raise ServerError(measured.ended_early)
    if not data["ok"]:
        raise typer.Exit(EXIT_FAILED)


def _checked(server: Server, *, allow_remote: bool, allow_costs: bool) -> dict[str, str]:
    """Return the server's settings, if visitors may come to it."""
    if not allow_remote and not is_loopback(urlsplit(server.base_url).hostname or ""):
        raise UsageError(
            f"{server.base_url} can be reached from other machines: --allow-remote if it is yours"
        )
    plugins = server.ask("GET", "/v1/health/ready")["plugins"]
    for name in NEEDED:
        if plugins.get(name, {}).get("state") not in {"ok", "warming", "degraded"}:
            raise ServerError(f"the plugin {name} of the server does not run: switch it on")
    rows = server.ask("GET", "/v1/settings")["settings"]
    settings = {row["name"]: row["value"] for row in rows}
    voices = settings["RR_SPEECH_ENGINE"] + settings["RR_SPEECH_FALLBACK"]
    agents = server.ask("GET", "/v1/agents")["agents"]
    costly = [one["id"] for one in agents if not one.get("rehearses")]
    costly += [f"the voice {name}" for name in ONLINE if name in voices]
    if costly and not allow_costs:
        raise UsageError(
            f"{', '.join(costly)} may cost money for each visitor: start the server without keys, "
            "or say --allow-costs"
        )
    return settings


async def _run(server: Server, plan: "Plan") -> "Measured":
    """Run the day with a progress bar."""
    import httpx2
    from rich.progress import Progress

    from backend.cli.simulation import Day

    total = len(plan.arrivals())
    with Progress(console=messages(), transient=True) as progress:
        bar = progress.add_task("visitors", total=total)

        def advance(measured: "Measured") -> None:
            came = len(measured.arrived)
            words = f"{came} of {total} visitors" if came < total else "waiting for the last waves"
            progress.update(bar, advance=1, description=words)

        try:
            async with server.async_client(SILENCE_LIMIT_S) as client:
                return await Day(client, plan, advance).run()
        except httpx2.HTTPError as error:
            raise ServerError(f"the server has no figures ({error})") from error
