/** Where the points of a chart of the last hour stand. */

/** @typedef {{p50: number | null, p95: number | null, n: number}} Span @typedef {{at: string, span: Span}} Point */

export const WIDTH = 300;
export const HEIGHT = 60;
const HOUR_MS = 3_600_000;

/**
 * The points of the chart; minutes without values part it.
 * @param {Point[]} points
 * @param {number} now
 * @returns {{top: number, parts: {x: number, p50: number, p95: number}[][]}} `top`: the largest value
 */
export function layout(points, now) {
  const top = Math.max(0, ...points.map(({ span }) => span.p95 ?? 0));
  /** @type {{x: number, p50: number, p95: number}[][]} */
  const parts = [];
  let last = -Infinity;
  for (const { at, span } of points) {
    if (span.p50 === null || span.p95 === null) continue;
    const time = Date.parse(at);
    if (time - last > 90_000) parts.push([]);
    last = time;
    const y = (/** @type {number} */ value) => HEIGHT * (1 - value / (top || 1));
    parts[parts.length - 1].push({ x: WIDTH * (1 + (time - now) / HOUR_MS), p50: y(span.p50), p95: y(span.p95) });
  }
  return { top, parts };
}
