/** The connections to the server: nothing is told twice, nothing is lost; with a socket and a clock that the test holds. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { followAll, followSession } from "../../../plugins/console/page/events.mjs";

/** @type {FakeSocket[]} */
let sockets = [];
let told = [];

class FakeSocket {
  static OPEN = 1;
  readyState = 1;
  sent = [];
  constructor(address) {
    this.address = String(address);
    sockets.push(this);
  }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.readyState = 3; }
  say(message) { this.onmessage({ data: JSON.stringify(message) }); }
  welcome(run = "a", replayed = 0) {
    this.onopen();
    this.answer(run, replayed);
  }
  answer(run = "a", replayed = 0) {
    this.say({ type: "hello.ack", ts: new Date(Date.now()).toISOString(), payload: { run, replayed } });
  }
}
const event = (cursor) => ({ type: "slot.start", sessionId: "s", cursor, ts: "2026-11-29T10:00:00Z", payload: {} });
const states = () => told.filter((one) => "connected" in one);
const cursors = () => told.filter((one) => "cursor" in one).map((one) => one.cursor);
let stop = () => {};

beforeEach(() => {
  [sockets, told] = [[], []];
  mock.timers.enable({ apis: ["setInterval", "setTimeout", "Date"] });
  Object.assign(globalThis, { window: globalThis, WebSocket: FakeSocket, location: { href: "https://room.example/console" } });
  stop = followAll({ event: (one) => told.push(one), state: (one) => told.push(one) });
});
afterEach(() => {
  stop();
  mock.timers.reset();
});

test("the events of all are asked for where the page came from, encrypted as it was", () => {
  assert.equal(sockets[0].address, "wss://room.example/v1/events?dialect=full");
});

test("at first everything is asked for, and nothing of it was missed", () => {
  sockets[0].welcome("a", 7);
  assert.deepEqual(sockets[0].sent, [{ type: "hello", cursor: 0 }]);
  assert.deepEqual(states(), [{ connected: true, replayed: 0, restarted: false, aheadMs: 0 }]);
});

test("an event before the first answer is left out, as the answer brings it in its place", () => {
  sockets[0].onopen();
  sockets[0].say(event(13));
  sockets[0].answer("a", 3);
  for (const cursor of [11, 12, 13, 13, 14, 12]) sockets[0].say(event(cursor));
  assert.deepEqual(cursors(), [11, 12, 13, 14]);
  assert.equal(told.at(-1).at, Date.parse("2026-11-29T10:00:00Z"));
});

test("only the first hello of a connection names a cursor, and one follows each second", () => {
  sockets[0].welcome();
  sockets[0].say(event(11));
  mock.timers.tick(1000);
  assert.deepEqual(sockets[0].sent, [{ type: "hello", cursor: 0 }, { type: "hello" }]);
});

test("a connection that is closed is made again, and what was missed is counted and told", () => {
  sockets[0].welcome();
  sockets[0].say(event(11));
  sockets[0].onclose();
  assert.deepEqual(states().at(-1), { connected: false });
  mock.timers.tick(250);
  sockets[1].onopen();
  sockets[1].say(event(14));
  sockets[1].answer("a", 3);
  for (const cursor of [12, 13, 14]) sockets[1].say(event(cursor));
  assert.deepEqual(sockets[1].sent, [{ type: "hello", cursor: 11 }]);
  assert.deepEqual(states().at(-1), { connected: true, replayed: 3, restarted: false, aheadMs: 0 });
  assert.deepEqual(cursors(), [11, 12, 13, 14]);
});

test("a connection that is dead without a word is lost within three seconds", () => {
  sockets[0].welcome();
  mock.timers.tick(1000);
  sockets[0].answer();
  mock.timers.tick(2500);
  assert.deepEqual(states().at(-1), { connected: false });
  assert.equal(sockets[0].readyState, 3);
});

test("an answer keeps the connection, also where no session runs", () => {
  sockets[0].welcome();
  for (let second = 0; second < 30; second++) {
    mock.timers.tick(1000);
    sockets[0].answer();
  }
  assert.equal(states().length, 1);
});

test("another run of the server is told, and heard whatever its cursors are", () => {
  sockets[0].welcome("a");
  sockets[0].say(event(1000));
  sockets[0].onclose();
  mock.timers.tick(250);
  sockets[1].welcome("b", 1);
  sockets[1].say(event(7));
  assert.equal(states().at(-1).restarted, true);
  assert.deepEqual(cursors(), [1000, 7]);
});

test("that events are lost for good is told, unless none had been seen", () => {
  sockets[0].welcome();
  sockets[0].say({ type: "replay.gap", payload: {} });
  assert.equal(states().length, 1);
  sockets[0].say(event(2));
  sockets[0].onclose();
  mock.timers.tick(250);
  sockets[1].welcome();
  sockets[1].say({ type: "replay.gap", payload: {} });
  assert.deepEqual(states().at(-1), { connected: true, gap: true });
});

test("the server is tried again and again, at most every two seconds", () => {
  const after = [250, 500, 1000, 2000, 2000, 2000];
  after.forEach((pause, count) => {
    sockets[count].onclose();
    mock.timers.tick(pause - 1);
    assert.equal(sockets.length, count + 1);
    mock.timers.tick(1);
    assert.equal(sockets.length, count + 2);
  });
});

test("who stops to follow hears no more, and the server is left alone", () => {
  sockets[0].welcome();
  stop();
  mock.timers.tick(60_000);
  assert.deepEqual([sockets.length, sockets[0].readyState, states().length], [1, 3, 1]);
});

test("the events of one session are followed until the server knows no more of it", () => {
  let source;
  globalThis.EventSource = class extends EventTarget {
    static CLOSED = 2;
    constructor(address) { super(); source = Object.assign(this, { address, readyState: 1 }); }
    close() { this.readyState = 2; }
  };
  const seen = [];
  const leave = followSession("a/b", { event: (one) => seen.push([one.type, one.payload]), state: (one) => seen.push(one) });
  assert.equal(source.address, "/v1/sessions/a%2Fb/events");
  source.onopen();
  source.dispatchEvent(Object.assign(new Event("slot.done"), { data: '{"text": "Water."}' }));
  source.onerror();
  source.readyState = 2;
  source.onerror();
  assert.deepEqual(seen, ["open", ["slot.done", { text: "Water." }], "lost", "ended"]);
  leave();
  assert.equal(source.readyState, 2);
});
