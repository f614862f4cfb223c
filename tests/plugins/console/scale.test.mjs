/** The times of an utterance on its axis, and the marks of axes. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { spansOf, ticksOf } from "../../../plugins/console/page/console/scale.mjs";

const utterance = (at, more = {}) => ({ at, waves: [], wavesReason: "", ...more });
const named = (spans) => spans.map(({ name, from, to, isOpen }) => [name, from, to, isOpen]);

test("an utterance has a span for agent, speech and waves", () => {
  const done = utterance({ start: 1, done: 3, audio: 6, waves: 10 }, { waves: ["a", "b", "c"] });
  const spans = [["agent", 1, 3, false], ["speech", 3, 6, false], ["waves", 6, 10, false]];
  assert.deepEqual(named(spansOf(done, null)), spans);
});

test("what goes on lasts until now, and is left out where nothing goes on", () => {
  const spoken = utterance({ start: 1, done: 3 });
  assert.deepEqual(named(spansOf(spoken, 9)), [["agent", 1, 3, false], ["speech", 3, 9, true]]);
  assert.deepEqual(named(spansOf(spoken, null)), [["agent", 1, 3, false]]);
  assert.deepEqual(named(spansOf(spoken, 2)).at(-1), ["speech", 3, 3, true]);
});

test("an error ends the span in which it happened", () => {
  assert.deepEqual(named(spansOf(utterance({ start: 1, error: 4 }), 9)), [["agent", 1, 4, false]]);
  assert.deepEqual(named(spansOf(utterance({ start: 1, done: 2, error: 4 }), 9)).at(-1), ["speech", 2, 4, false]);
});

test("an axis has four to ten steps at round numbers", () => {
  assert.deepEqual(ticksOf(250), [0, 50, 100, 150, 200, 250]);
  assert.deepEqual(ticksOf(1), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  for (let length = 0.5; length < 5000; length *= 1.1) {
    const marks = ticksOf(length).length - 1;
    assert.ok(marks >= 4 && marks <= 10, `${length}: ${marks}`);
  }
});
