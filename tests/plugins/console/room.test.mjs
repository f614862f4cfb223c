/** The state of the room: sessions, waves, and the connection. */

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  KEPT_SESSIONS, isRunning, newRoom, newestFirst, reduce, startOf,
} from "../../../plugins/console/page/console/room.mjs";

const ID = "20261129T100000Z-aaaaaaaa";
const AUDIO = "http://127.0.0.1:8000/v1/audio";
const SPEECH = `tts/sessions/${ID}/turn_1/slot-1.wav`;
const slot = (more = {}) => ({ turnIndex: 1, kind: "response", slotId: 1, agentId: "a", ...more });
const event = (type, payload = {}, at = 1, sessionId = ID) => ({ type, sessionId, payload, at });
const ready = (at, more = {}) =>
  event("utterance.waves.ready", slot({
    audioUrl: `${AUDIO}/${SPEECH}`, readyMs: 300, backfill: false,
    waves: [1, 2, 3].map((wave) => ({ wave, url: `${AUDIO}/waves/${at}/wave${wave}.wav` })), ...more,
  }), at);
const failed = (at) =>
  event("utterance.waves.failed", slot({ audioUrl: `${AUDIO}/${SPEECH}`, reason: "timeout", message: "" }), at);
const all = (events, room = newRoom()) => events.reduce(reduce, room);
const begun = [
  event("session.start", {}, 1), event("slot.start", slot(), 2), event("slot.audio", slot({ audioPath: SPEECH }), 3),
];

test("waves that are ready stand at their utterance as paths below the server's folder", () => {
  const { sessions, outcomes } = all([...begun, ready(9)]);
  const utterance = sessions.get(ID).utterances["1.1"];
  assert.deepEqual(utterance.waves, ["waves/9/wave1.wav", "waves/9/wave2.wav", "waves/9/wave3.wav"]);
  assert.equal(utterance.at.waves, 9);
  assert.equal(sessions.get(ID).readyMs["1.1"], 300);
  assert.deepEqual(outcomes.get(SPEECH).waves, utterance.waves);
});

test("waves of other profiles follow those of V3", () => {
  const profileWaves = [{ wave: 1, url: `${AUDIO}/waves/slots_wave1.wav`, profile: "slots", targetSlotId: 1 }];
  const utterance = all([...begun, ready(9, { profileWaves })]).sessions.get(ID).utterances["1.1"];
  assert.equal(utterance.waves.length, 4);
  assert.equal(utterance.waves[3], "waves/slots_wave1.wav");
});

test("waves that failed leave a reason, and waves that are made again replace it", () => {
  const before = all([...begun, failed(9)]);
  assert.equal(before.sessions.get(ID).utterances["1.1"].wavesReason, "timeout");
  const after = all([ready(20, { backfill: true })], before).sessions.get(ID).utterances["1.1"];
  assert.deepEqual([after.wavesReason, after.waves.length, after.at.waves], ["", 3, 9]);
});

test("an event that comes twice changes nothing", () => {
  const once = all([...begun, ready(9)]);
  assert.deepEqual(all([...begun, ready(9)], once), once);
});

test("waves of an earlier session are told without that the session seems to run", () => {
  const { sessions, outcomes } = all([ready(9, { backfill: true })]);
  assert.equal(sessions.size, 0);
  assert.equal(outcomes.get(SPEECH).at, 9);
});

test("what is expected of a session is kept, whichever event comes first", () => {
  const expected = event("session.expected", { slots: [1, 2], turns: 3, medianReadyMs: null });
  for (const order of [[expected, begun[0]], [begun[0], expected]]) {
    const session = all(order).sessions.get(ID);
    assert.deepEqual(session.expected, { slots: [1, 2], turns: 3, medianReadyMs: null });
    assert.equal(session.startedAt, 1);
  }
});

test("only the latest sessions are kept, and an older one does not come back", () => {
  const name = (n) => `20261129T${String(100000 + n)}Z-aaaaaaaa`;
  const many = Array.from({ length: 1000 }, (_, n) => event("session.start", {}, n, name(n)));
  const room = all(many);
  assert.equal(room.sessions.size, KEPT_SESSIONS);
  assert.equal(newestFirst(room)[0].id, name(999));
  assert.equal(reduce(room, event("slot.start", slot(), 5, name(3))).sessions.get(name(3)), undefined);
});

test("the outcomes that are kept are bounded", () => {
  const many = Array.from({ length: 1000 }, (_, n) => ready(n, { backfill: true, audioUrl: `/v1/audio/tts/${n}.wav` }));
  const { outcomes } = all(many);
  assert.equal(outcomes.size, 100);
  assert.ok(outcomes.get("tts/999.wav"));
});

test("when a session began stands in its id if its first event was missed", () => {
  assert.equal(startOf(all([begun[1]]).sessions.get(ID)), Date.UTC(2026, 10, 29, 10));
});

test("a loss is dated once, and its end says what was missed", () => {
  const up = { connected: true, replayed: 0, restarted: false, at: 1 };
  const lost = all([up, { connected: false, at: 10 }, { connected: false, at: 20 }]);
  assert.deepEqual([lost.connection.connected, lost.connection.lostAt], [false, 10]);
  const { connection } = all([{ connected: true, replayed: 7, at: 30 }, { connected: true, gap: true, at: 31 }], lost);
  assert.deepEqual(connection, {
    connected: true, lostAt: 10, backAt: 30, replayed: 7, gap: true, restarted: false, aheadMs: 0,
  });
});

test("sessions of an earlier run of the server are interrupted", () => {
  const room = all([...begun, { connected: false, at: 10 }]);
  assert.ok(isRunning(room.sessions.get(ID)));
  const after = reduce(room, { connected: true, restarted: true, at: 20 });
  assert.ok(after.sessions.get(ID).interrupted && !isRunning(after.sessions.get(ID)));
});
