"""`reflective-resonance replay`: emits the signals of a recorded session again, on the server."""

import time
from typing import Annotated, Any

import typer

from backend.errors import UsageError
from backend.plugins import Server, interruptible, server_in_settings
from backend.terminal import AsJson, messages, output, show_json

FAST = "as-fast-as-possible"
POLL_S = 0.2
LEASE_S = 30.0
"""The server ends the replay of a command that has not asked for so long: it was killed."""

app = typer.Typer(name="replay", help="Play a recorded session again, on the server that runs.")


def _speed(text: str) -> float | None:
    if text == FAST:
        return None
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = 0.0
    if not 0 < speed <= 1000:
        raise UsageError(f"--speed {text}: write a number such as 4, at most 1000, or {FAST}")
    return speed


def _seconds(text: str) -> float:
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise UsageError(f"--from {text}: write seconds such as 12s")
    return seconds


@app.command()
def replay(
    session: Annotated[str, typer.Argument(help="Id of the session, or `last`.")] = "last",
    speed: Annotated[str, typer.Option(help=f"Times as fast, or {FAST}.")] = "1",
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end.")] = False,
    begin: Annotated[str, typer.Option("--from", help="Seconds that are left out.")] = "0s",
    to: Annotated[
        str, typer.Option(help="Plugins, separated by commas; by default all that present.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Play a recorded session again to TouchDesigner, OSC and the pages, without agents or voices.

    The server that runs does it, until the end or Ctrl-C, and for at most half a minute after
    this command is killed. No file is written.

    Exit code: 0 on success, 1 if the server refuses or does not answer, 2 on wrong usage, 130 on
    Ctrl-C.
    """
    server = server_in_settings()
    request = {
        "sessionId": session,
        "speed": _speed(speed),
        "loop": loop,
        "fromS": _seconds(begin),
        "leaseS": LEASE_S,
        "to": [name.strip() for name in to.split(",") if name.strip()],
    }
    state = server.ask("POST", "/v1/replays", request)
    path = f"/v1/replays/{state['id']}"
    messages().out(
        f"replays {state['replayedFrom']}: {state['signals']} signals of "
        f"{state['durationS']:.1f} s, to {', '.join(state['to'])}"
    )
    for reason, number in state["skipped"].items():
        messages().out(f"left out: {number} ({reason})")
    try:
        with interruptible("the replay is ended"):
            state = _wait(server, path, state)
    except BaseException:
        server.ask("DELETE", path)
        raise
    if as_json:
        show_json(state)
    else:
        output().out(f"emitted {state['emitted']} signals as session {state['sessionId']}")


def _wait(server: Server, path: str, state: dict[str, Any]) -> dict[str, Any]:
    from rich.progress import Progress

    with Progress(console=messages(), transient=True) as progress:
        bar = progress.add_task("signals", total=state["signals"])
        while state["running"]:
            time.sleep(POLL_S)
            state = server.ask("GET", path)
            round_ = state["emitted"] - state["rounds"] * state["signals"]
            progress.update(bar, completed=round_)
    return state
