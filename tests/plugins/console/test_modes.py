"""The page's dishes draw the surface of the dish in the computer: JavaScript against Python."""

import base64
import json
import subprocess
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from plugins.waves.water import RATE, Dish, G, Surface, motion
from plugins.waves.water.motion import PER_SECOND
from tests.patience import LIMIT_S
from tests.plugins.console.test_modules import find_node

MODULE = Path(__file__).parents[3] / "plugins/console/page/visitor/modes.mjs"
HEIGHTS = """
const { heightsOf, SIZE } = await import(process.argv[1]);
let text = "";
for await (const part of process.stdin) text += part;
const { answer, times } = JSON.parse(text);
const heights = heightsOf(answer, 1);
const found = times.map((one) => heights(one) && [...heights(one)]);
console.log(JSON.stringify({ size: SIZE, found }));
"""


def drawn(answer: dict[str, object], *times: float) -> list[npt.NDArray[np.float64] | None]:
    """Return the heights in metres that the page computes at each time, not slowed."""
    node = find_node()
    if node is None:
        pytest.skip("needs Node.js 20: on PATH, or uv sync --group e2e, whose Playwright has one")
    command = [node, "--input-type=module", "--eval", HEIGHTS, MODULE.as_uri()]
    run = subprocess.run(
        command, input=json.dumps({"answer": answer, "times": times}),
        capture_output=True, text=True, encoding="utf-8", timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert 0 == run.returncode, run.stderr
    said = json.loads(run.stdout)
    shape = (said["size"], said["size"])
    return [one and np.reshape(np.array(one) / 1e6, shape) for one in said["found"]]


def from_above(surface: Surface, size: int) -> npt.NDArray[np.float64]:
    """Return the heights of a surface at the points of the page's grid, NaN outside the dish."""
    heights = surface.heights()
    radii, angles = heights.shape
    y, x = (2 * np.mgrid[:size, :size] + 1) / size - 1
    radius, angle = np.hypot(x, y), np.arctan2(y, x) % (2 * np.pi)
    wrapped = np.concatenate([heights, heights[:, :1]], axis=1)
    at = [radius * (radii - 1), angle / (2 * np.pi) * angles]
    found = ndimage.map_coordinates(wrapped, at, order=3, mode="nearest")
    return np.where(radius <= 1, found, np.nan)


def test_the_page_draws_the_heights_of_the_surface() -> None:
    """Given amplitudes are drawn alike within 1 % of the highest wave, also between two frames."""
    dish, seconds = Dish(), 3
    times = np.arange(seconds * RATE) / RATE
    wave = np.minimum(1, times / 0.3) * np.sin(2 * np.pi * 22 * times)
    made = motion(dish, wave.astype(np.float32), G)
    units = np.frombuffer(base64.b64decode(made["amplitudes"]), "<i2").astype(np.float64)
    slow = units.reshape(-1, len(made["orders"]), 2) @ [1, 1j] / 1e6
    frames = np.arange(2 * PER_SECOND, len(slow) - 1)
    carrier = -2j * np.pi * made["carrier_hz"] / PER_SECOND
    moved = np.abs((slow[frames] * np.exp(carrier * frames[:, np.newaxis])).real).sum(axis=1)
    first = int(frames[np.argmax(moved)])

    *found, over = drawn(
        {"perSecond": made["per_second"], "carrierHz": made["carrier_hz"], **made},
        first / PER_SECOND,
        (first + 0.25) / PER_SECOND,
        seconds,
    )

    assert over is None
    for heights, part in zip(found, (0, 0.25), strict=True):
        assert heights is not None
        z = slow[first] * (1 - part) + slow[first + 1] * part
        surface = Surface(dish)
        surface.amplitudes = np.zeros_like(surface.amplitudes)
        for order, zero, amplitude in zip(made["orders"], made["zeros"], z, strict=True):
            near = np.abs(surface.modes.k * dish.radius - zero) < 1e-6
            (mode,) = np.flatnonzero(near & (surface.modes.orders == order))
            surface.amplitudes[mode] = amplitude * np.exp(carrier * (first + part))
        wanted = from_above(surface, len(heights))
        highest = np.nanmax(np.abs(wanted))
        assert highest > 0.5e-3
        assert np.nanmax(np.abs(heights - wanted)) < 0.01 * highest
