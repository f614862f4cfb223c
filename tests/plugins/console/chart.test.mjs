import assert from "node:assert/strict";
import { test } from "node:test";

import { layout } from "../../../plugins/console/page/console/chart_layout.mjs";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const point = (minutesAgo, p50, p95) => ({ at: new Date(NOW - minutesAgo * 60_000).toISOString(), span: { p50, p95, n: p50 ? 1 : 0 } });

test("the largest value touches the top, an hour ago is at the left, now at the right", () => {
  const { top, parts } = layout([point(60, 100, 200), point(59, 50, 100), point(0, 100, 150)], NOW);

  assert.equal(top, 200);
  assert.deepEqual(parts[0][0], { x: 0, p50: 30, p95: 0 });
  assert.equal(parts.at(-1)[0].x, 300);
});

test("minutes without values part the line", () => {
  const { parts } = layout([point(5, 1, 2), point(4, 1, 2), point(3, null, null), point(2, 1, 2)], NOW);

  assert.deepEqual(parts.map((part) => part.length), [2, 1]);
});

test("an hour without values has no parts", () => {
  assert.deepEqual(layout([point(5, null, null)], NOW), { top: 0, parts: [] });
});
