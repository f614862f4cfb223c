/** The connection to all events: nothing is given twice, nothing is lost. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { followAll } from "../../../plugins/console/page/events.mjs";

const said = [];
const sockets = [];
const due = [];
globalThis.location = /** @type {any} */ ({ href: "http://127.0.0.1:8000/console" });
globalThis.window = /** @type {any} */ ({
  setInterval: (call) => due.push(call), clearInterval: () => undefined,
  setTimeout: (call) => call(), clearTimeout: () => undefined,
});
globalThis.WebSocket = /** @type {any} */ (class {
  static OPEN = 1;
  readyState = 1;
  constructor() { sockets.push(this); }
  send(text) { said.push(JSON.parse(text)); }
  close() {}
  /** @param {object} message */
  hear(message) { this.onmessage({ data: JSON.stringify({ ts: "2026-11-29T10:00:00Z", ...message }) }); }
});
const ack = (run, replayed = 0) => ({ type: "hello.ack", sessionId: null, cursor: 99, payload: { run, replayed } });
const event = (cursor) => ({ type: "slot.start", sessionId: "s", cursor, payload: {} });
const gap = { type: "replay.gap", sessionId: null, cursor: 99, payload: {} };

/** Follow from the start; return what was told, and the newest connection. */
function follow() {
  const cursors = [];
  const states = [];
  said.length = sockets.length = 0;
  followAll({ event: (one) => cursors.push(one.cursor), state: (state) => states.push(state) });
  const socket = () => sockets[sockets.length - 1];
  socket().onopen();
  return { cursors, states, socket };
}

test("an event before the first answer is left out, as the answer brings it in its place", () => {
  const { cursors, socket } = follow();
  for (const message of [event(13), ack("a", 3), event(11), event(12), event(13), event(14)]) socket().hear(message);
  assert.deepEqual(cursors, [11, 12, 13, 14]);
});

test("only the first hello of a connection names a cursor", () => {
  const { socket } = follow();
  socket().hear(ack("a"));
  socket().hear(event(11));
  due[due.length - 1]();
  assert.deepEqual(said, [{ type: "hello", cursor: 0 }, { type: "hello" }]);
});

test("after a drop the last cursor is named, and it is said how much was missed", () => {
  const { cursors, states, socket } = follow();
  for (const message of [ack("a"), event(11)]) socket().hear(message);
  socket().onclose();
  socket().onopen();
  for (const message of [event(14), ack("a", 3), gap, event(12), event(13), event(14)]) socket().hear(message);
  assert.deepEqual(said[1], { type: "hello", cursor: 11 });
  assert.deepEqual(cursors, [11, 12, 13, 14]);
  assert.deepEqual(states.slice(1).map(({ connected, replayed, gap }) => [connected, replayed, gap]),
    [[false, undefined, undefined], [true, 3, undefined], [true, undefined, true]]);
});

test("another run of the server is heard whatever its cursors are", () => {
  const { cursors, states, socket } = follow();
  for (const message of [ack("a"), event(1000)]) socket().hear(message);
  socket().onclose();
  socket().onopen();
  for (const message of [ack("b", 1), event(7)]) socket().hear(message);
  assert.deepEqual(cursors, [1000, 7]);
  assert.equal(states.at(-1).restarted, true);
});
