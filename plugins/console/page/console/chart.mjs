/** A small chart of the last hour: half of the values are below the line, 95 % within the area. */

import { html } from "htm/preact";
import { HEIGHT, WIDTH, layout } from "./chart_layout.mjs";
import { duration } from "./format.mjs";

/** @typedef {import("./chart_layout.mjs").Point} Point */

/** @param {{title: string, name: string, points: Point[], now: number}} props `name` is that of its colour */
export function Chart({ title, name, points, now }) {
  const { top, parts } = layout(points, now);
  const count = points.reduce((sum, { span }) => sum + span.n, 0);
  const latest = points.filter(({ span }) => span.n > 0).at(-1)?.span;
  const words = latest
    ? `lately half within ${duration(latest.p50 ?? 0)}, 95 % within ${duration(latest.p95 ?? 0)}; ${count} in the last hour`
    : "none in the last hour";
  return html`<figure class="chart ${name}"><figcaption>${title}: <span class="muted">${words}</span></figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img"
      aria-label="${title} of the last hour, at most ${duration(top)}: ${words}">
      ${parts.map((part) => html`
        <path class="area" d=${path([...part.map(({ x, p95 }) => [x, p95]), ...part.map(({ x }) => [x, HEIGHT]).reverse()])} />
        <path class="line" d=${path(part.map(({ x, p50 }) => [x, p50]))} />
        ${part.length === 1 && html`<circle cx=${part[0].x} cy=${part[0].p50} r="2" />`}`)}
    </svg>
    <p class="muted"><span>1 h ago</span><span>at most ${duration(top)}</span><span>now</span></p></figure>`;
}

/** @param {number[][]} points */
function path(points) {
  return points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
}
