"""What the two pages cost: `uv run --group e2e python -m tests.benchmarks.page`.

Measured in the system's Chromium, without a window, with a server on loopback and no waves:

(a) First paint, and the time until a page can be used, each time in a browser that has kept
    nothing; the bytes that came over the wire, compressed and with their headers.
(b) The time from an event's publication to its place in the artist's page, and to its frame.
(c) The memory of the artist's page, after a collection, before and after many sessions.
(d) How busy the main thread of a page is that draws dishes at every frame: rings, or the surface of
    24 modes, in one dish of 200 pixels and in six, as for a summary.
(e) The time from a question to each `slot.audio`, with ten pages open and with none, in blocks that
    take turns; the browser runs on the same cores.
"""

import asyncio
import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import quantiles
from time import perf_counter, time
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from backend.logs import configure_logging
from backend.signals import EventPublished, emit, event_published
from tests.browser import launching, visiting
from tests.live import LiveServer, chat_body, events
from tests.plugins.console.rooms import room

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

STARTS = 20
EVENTS = 120
SESSIONS = 1000
SETTLED = 100
"""Sessions after which the artist's page holds all that it keeps."""
BATCH = 50
BATCH_PAUSE_S = 0.01
PAGES = 10
BLOCKS, IN_BLOCK = 5, 5
USABLE = {"/": ".writing textarea", "/console": ".strip .good"}
"""What can be used, or says that all is there, once a page is ready."""
NOTE_USABLE = """(() => { const look = () => {
  if (document.querySelector(%s)) globalThis.usableMs ??= performance.now();
  else requestAnimationFrame(look);
}; requestAnimationFrame(look); })()"""
AWAITED = """new Promise((resolve) => { const look = () => {
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  if (paint && globalThis.usableMs) resolve([paint.startTime, globalThis.usableMs]);
  else requestAnimationFrame(look);
}; look(); })"""
MODES = 24
DRAWN_S = 5
DRAW = """async ([surface, count]) => {
  const { fill } = await import("/page/visitor/water.mjs");
  const began = performance.now();
  let frames = 0;
  const envelope = { durationS: 60, levels: [[1, 1], [1, 1], [1, 1]] };
  const motion = {
    kind: "speaking", envelope: () => envelope, surface: () => surface,
    elapsedS: () => (performance.now() - began) / 1000,
  };
  const drawn = Array.from({ length: count }, () => {
    const canvas = document.body.appendChild(document.createElement("canvas"));
    canvas.style.width = canvas.style.height = "200px";
    return [canvas, fill(canvas, { phase: 0, motion })];
  });
  const look = () => { frames++; requestAnimationFrame(look); };
  look();
  globalThis.stopDishes = () => {
    for (const [canvas, stop] of drawn) { stop(); canvas.remove(); }
    return frames;
  };
}"""
ARM = """(id) => { globalThis.seen = new Promise((resolve) => {
  const now = () => performance.timeOrigin + performance.now();
  const watcher = new MutationObserver(() => {
    if (!document.querySelector(`a[href$="${id}"]`)) return;
    watcher.disconnect();
    const changed = now();
    requestAnimationFrame(() => setTimeout(() => resolve([changed, now()])));
  });
  watcher.observe(document.body, { subtree: true, childList: true, attributes: true });
}); }"""


def starts(browser: "Browser", live: LiveServer, table: Table) -> None:
    """Open each page again and again with nothing kept."""
    for path, usable in USABLE.items():
        paints, ready, wire = [], [], 0
        for _ in range(STARTS + 1):
            with visiting(browser) as context:
                page = context.new_page()
                cdp = context.new_cdp_session(page)
                lengths = _lengths(cdp)
                page.add_init_script(NOTE_USABLE % json.dumps(usable))
                page.goto(live.url + path)
                paint_ms, usable_ms = page.evaluate(AWAITED)
                paints.append(paint_ms)
                ready.append(usable_ms)
                wire = sum(lengths)
        table.add_row(f"{path} first contentful paint", _figures(paints[1:]))
        table.add_row(f"{path} usable", _figures(ready[1:]))
        table.add_row(f"{path} over the wire", f"{wire / 1000:.1f} kB")


def _lengths(cdp: "CDPSession") -> list[int]:
    lengths: list[int] = []
    cdp.on("Network.loadingFinished", lambda one: lengths.append(int(one["encodedDataLength"])))
    cdp.send("Network.enable")
    return lengths


def event_to_pixel(page: "Page", live: LiveServer, table: Table) -> None:
    """Let one session after the other begin, and see when its link stands in the page."""
    changed, drawn = [], []
    for number in range(EVENTS):
        session_id = _name(number)
        page.evaluate(ARM, session_id)
        at_ms = live.run(_publish_timed(session_id))
        seen = page.evaluate("seen")
        changed.append(seen[0] - at_ms)
        drawn.append(seen[1] - at_ms)
        live.run(_publish([(session_id, "done", {"completedSlots": 0, "turns": 3})]))
    table.add_row("event published to page changed", _figures(changed))
    table.add_row("event published to frame drawn", _figures(drawn))


async def _publish_timed(session_id: str) -> float:
    at_ms = 1000 * time()
    await _publish([(session_id, "session.start", {})])
    return at_ms


def memory(page: "Page", live: LiveServer, table: Table) -> None:
    """Send the events of whole sessions, as fast as the page is sent them."""
    cdp = page.context.new_cdp_session(page)
    used = [_heap_mb(cdp)]
    for first, last in ((0, SETTLED), (SETTLED, SESSIONS)):
        for number in range(first, last):
            live.run(_play(_name(EVENTS + number)))
        page.locator(f"a[href$='{_name(EVENTS + last - 1)}']").first.wait_for()
        used.append(_heap_mb(cdp))
    for count, mb in zip((0, SETTLED, SESSIONS), used, strict=True):
        table.add_row(f"memory of /console after {count} sessions", f"{mb:.2f} MB (n=1)")


def _heap_mb(cdp: "CDPSession") -> float:
    cdp.send("HeapProfiler.collectGarbage")
    return float(cdp.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


async def _play(session_id: str) -> None:
    rows: list[tuple[str, str, dict[str, Any]]] = [(session_id, "session.start", {})]
    text = "The water remembers what was said, and says it again more slowly. " * 2
    for turn, kind in enumerate(("response", "comment", "reply"), start=1):
        rows.append((session_id, "turn.start", {"turnIndex": turn}))
        for slot_id in range(1, 7):
            slot = {"turnIndex": turn, "kind": kind, "slotId": slot_id, "agentId": "gpt-4o"}
            path = f"tts/sessions/{session_id}/turn_{turn}/slot-{slot_id}_gpt-4o_calm.wav"
            rows += [
                (session_id, "slot.start", slot),
                (session_id, "slot.done", {**slot, "text": text, "voiceProfile": "calm_soothing"}),
                (session_id, "slot.audio", {**slot, "audioPath": path}),
            ]
        rows.append((session_id, "turn.done", {"turnIndex": turn, "slotCount": 6}))
    rows.append((session_id, "done", {"completedSlots": 6, "turns": 3}))
    for first in range(0, len(rows), BATCH):
        await _publish(rows[first : first + BATCH])
        await asyncio.sleep(BATCH_PAUSE_S)


async def _publish(rows: list[tuple[str, str, dict[str, Any]]]) -> None:
    for number, (session_id, name, payload) in enumerate(rows, start=1):
        data = json.dumps({"sessionId": session_id, **payload})
        emit(event_published, None, EventPublished(session_id, number, name, data))


def _name(number: int) -> str:
    return f"20991129T{number // 3600:02}{number // 60 % 60:02}{number % 60:02}Z-{number:08x}"


def dishes(page: "Page", live: LiveServer, table: Table) -> None:
    """Draw dishes for some seconds; what another thread or process does is not counted."""
    page.goto(f"{live.url}/console")
    rng = np.random.default_rng(1)
    amplitudes = rng.integers(-500, 500, (30 * 60, MODES, 2), dtype="<i2").tobytes()
    answer = {
        "perSecond": 30,
        "carrierHz": 11,
        "orders": list(range(-MODES // 2, MODES // 2)),
        "zeros": [20.0] * MODES,
        "amplitudes": base64.b64encode(amplitudes).decode(),
    }
    cdp = page.context.new_cdp_session(page)
    cdp.send("Performance.enable")
    for count in (1, 6):
        for what, surface in (("rings", None), ("surface", answer)):
            page.evaluate(DRAW, [surface, count])
            page.wait_for_timeout(1000)
            before = _task_s(cdp)
            page.wait_for_timeout(1000 * DRAWN_S)
            after = _task_s(cdp)
            frames = page.evaluate("stopDishes()")
            part = (after[1] - before[1]) / (after[0] - before[0])
            rate = frames / (DRAWN_S + 1)
            table.add_row(
                f"{what} in {count} dish(es)", f"{part:.1%} of a core, {rate:.0f} frames/s (n=1)"
            )


def _task_s(cdp: "CDPSession") -> tuple[float, float]:
    found = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    return found["Timestamp"], found["TaskDuration"]


def audio_delays(browser: "Browser", live: LiveServer, table: Table) -> None:
    """Run sessions with ten pages open and with none, in turns."""
    delays: dict[int, list[float]] = {0: [], PAGES: []}
    for _ in range(BLOCKS):
        for count, found in delays.items():
            with ExitStack() as stack:
                for number in range(count):
                    path = list(USABLE)[number % 2]
                    page = stack.enter_context(visiting(browser)).new_page()
                    page.goto(live.url + path)
                    page.locator(USABLE[path]).first.wait_for()
                for _ in range(IN_BLOCK):
                    found += _delays_ms(live)
    for count, found in delays.items():
        what = f"question to slot.audio, {count} pages, {BLOCKS * IN_BLOCK} sessions"
        table.add_row(what, _figures(found))


def _delays_ms(live: LiveServer) -> Iterator[float]:
    began = perf_counter()
    body = chat_body(1, 2, 3, 4, 5, 6)
    with live.client() as client, client.stream("POST", "/v1/chat", json=body) as response:
        for name, _ in events(response.iter_lines()):
            if name == "slot.audio":
                yield 1000 * (perf_counter() - began)


def _figures(values: list[float]) -> str:
    cuts = quantiles(values, n=20)
    return f"p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms (n={len(values)})"


def main() -> None:
    configure_logging("error")
    table = Table("what", "figure", title="The two pages")
    with (
        tempfile.TemporaryDirectory() as folder,
        room(Path(folder)) as live,
        launching() as launch,
        launch() as browser,
    ):
        starts(browser, live, table)
        with visiting(browser) as context:
            page = context.new_page()
            page.goto(f"{live.url}/console#/now")
            page.locator(USABLE["/console"]).first.wait_for()
            event_to_pixel(page, live, table)
            memory(page, live, table)
            dishes(page, live, table)
        audio_delays(browser, live, table)
    Console().print(table)


if __name__ == "__main__":
    main()
