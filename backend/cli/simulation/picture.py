"""The picture of a simulated day: a panel for each figure, as SVG for light and dark pages."""

from collections.abc import Sequence
from typing import Any

WIDTH, LEFT, RIGHT = 720, 64, 16
PANEL, GAP, TOP = 72, 30, 58
MOST_HOURS = 10
"""Of these there is a label below the picture."""
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #14212a } .title { font-size: 15px }
.ground { fill: #f4f7f9 } .grid { stroke: #c3ced5 } .quiet { fill: #4c5d68 }
.bar { fill: #0b6e8a } .line { fill: none; stroke: #0b6e8a; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e4edf2 } .ground { fill: #0b1216 } .grid { stroke: #2c3a43 } .quiet { fill: #9db0bb }
.bar { fill: #4cc3e6 } .line { stroke: #4cc3e6 } }
"""
PANELS = (
    ("arrived", "visitors that came", "", 1),
    ("running", "sessions at once", "", 1),
    ("memory_bytes", "memory of the server and its child processes", " MB", 1e6),
    ("first_speech_p95_s", "question to first speech, 95 % within", " s", 1),
    ("waves_p95_s", "speech to its waves, 95 % within", " s", 1),
)
"""Of each the name in the report, the title, the unit, and what one unit is; lines have a unit."""


def picture(data: dict[str, Any]) -> str:
    """Return the picture of a report."""
    day, asked = data["day"], data["asked"]
    height = TOP + len(PANELS) * (PANEL + GAP)
    title = (
        f"{data['visitors']} visitors in {asked['hours']:g} h, "
        f"at speed {data['speed_reached']:g} (asked for {asked['speed']:g})"
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{title}</title><style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        f'<text class="title" x="{LEFT}" y="24">{title}</text>',
    ]
    for number, panel in enumerate(PANELS):
        parts += _panel(TOP + number * (PANEL + GAP), day, *panel)
    span = day[1]["hour"] * len(day)
    step = next((one for one in (0.25, 0.5, 1, 2) if span / one <= MOST_HOURS), 4)
    centred = 'class="quiet" text-anchor="middle"'
    for number in range(int(span / step + 0.01) + 1):
        x, minutes = LEFT + (WIDTH - LEFT - RIGHT) * number * step / span, round(number * step * 60)
        time = f"{minutes // 60}:{minutes % 60:02}"
        parts.append(f'<text {centred} x="{x:.1f}" y="{height - 16}">{time}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    top: int, day: Sequence[dict[str, Any]], name: str, title: str, unit: str, per: float
) -> list[str]:
    bottom, step = top + PANEL, (WIDTH - LEFT - RIGHT) / len(day)
    points = [
        (LEFT + (at + 0.5) * step, row[name] / per)
        for at, row in enumerate(day)
        if row[name] is not None
    ]
    most = max((value for _, value in points), default=0)
    points = [(x, bottom - PANEL * value / (most or 1)) for x, value in points]
    if unit:
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) if points else ""
    else:
        path = "".join(
            f"M{x - step * 0.4:.1f} {bottom}V{y:.1f}h{step * 0.8:.1f}V{bottom}" for x, y in points
        )
    scale = f'class="quiet" text-anchor="end" x="{LEFT - 6}"'
    return [
        f'<path class="grid" d="M{LEFT} {bottom}H{WIDTH - RIGHT}M{LEFT} {top}H{WIDTH - RIGHT}"/>',
        f'<text x="{LEFT}" y="{top - 6}">{title}</text>',
        f'<text {scale} y="{top + 10}">{most:{".0f" if most >= 10 else ".2g"}}{unit}</text>',
        f'<text {scale} y="{bottom}">0</text>',
        f'<path class="{"line" if unit else "bar"}" d="{path}"/>',
    ]
