/** The state of one session: from its events in any order, once or several times. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { inOrder, latestOf, newSession, reduce } from "../../../plugins/console/page/session.mjs";

const ID = "20261129T100000Z-aaaaaaaa";
const slot = (turnIndex, slotId, more = {}) => ({ turnIndex, slotId, kind: "response", agentId: `agent-${slotId}`, ...more });
const event = (type, payload, at) => ({ type, payload, at });
const ALL = [
  event("session.start", { sessionId: ID }, 10),
  event("turn.start", { turnIndex: 1, kind: "response" }, 11),
  event("slot.start", slot(1, 1), 12),
  event("slot.start", slot(1, 2), 13),
  event("slot.done", slot(1, 2, { text: "Still water.", voiceProfile: "warm_professional" }), 20),
  event("slot.audio", slot(1, 2, { audioPath: "tts/2.wav" }), 30),
  event("slot.done", slot(1, 1, { text: "Deep water.", voiceProfile: "energetic", targetSlotId: 2 }), 31),
  event("slot.error", slot(1, 1, { error: { type: "tts", message: "No engine speaks." } }), 32),
  event("turn.done", { turnIndex: 1 }, 33),
  event("slot.waves", slot(1, 2, { files: ["waves/1.wav", "waves/2.wav", "waves/3.wav"] }), 40),
  event("done", { completedSlots: 1 }, 50),
];
const all = (events, session = newSession(ID)) => events.reduce(reduce, session);
const freeze = (value) => {
  if (value && typeof value === "object") Object.values(Object.freeze(value)).forEach(freeze);
  return value;
};

test("a session tells its turns, utterances and end with their times", () => {
  const session = all(ALL);
  assert.deepEqual([session.startedAt, session.finishedAt, session.completedSlots, session.turnIndex], [10, 50, 1, 1]);
  assert.deepEqual(session.turns, { 1: { startedAt: 11, finishedAt: 33 } });
  assert.deepEqual(session.utterances["1.2"], {
    key: "1.2", turnIndex: 1, kind: "response", slotId: 2, agentId: "agent-2", targetSlotId: null, phase: "spoken",
    text: "Still water.", voiceProfile: "warm_professional", audioPath: "tts/2.wav",
    waves: ["waves/1.wav", "waves/2.wav", "waves/3.wav"], wavesReason: "", error: "",
    at: { start: 13, done: 20, audio: 30, waves: 40 },
  });
});

test("an utterance goes from thinking to speaking to spoken, or fails and keeps its words", () => {
  const phases = ALL.map((_, count) => all(ALL.slice(0, count + 1)).utterances["1.2"]?.phase);
  assert.deepEqual(phases.filter((one, at) => one && one !== phases[at - 1]), ["thinking", "speaking", "spoken"]);
  const failed = all(ALL).utterances["1.1"];
  assert.deepEqual(
    [failed.phase, failed.text, failed.targetSlotId, failed.error], ["failed", "Deep water.", 2, "No engine speaks."],
  );
});

test("waves that were not made leave the reason", () => {
  const { waves, wavesReason } = all([event("slot.waves", slot(1, 2, { reason: "timeout" }), 5)]).utterances["1.2"];
  assert.deepEqual([waves, wavesReason], [[], "timeout"]);
});

test("events that come twice change nothing, not even a time", () => {
  const twice = ALL.flatMap((one) => [one, { ...one, at: one.at + 1000 }]);
  assert.deepEqual(all(twice), all(ALL));
});

test("all events again from the start change nothing", () => {
  const later = ALL.map((one) => ({ ...one, at: one.at + 1000 }));
  for (let heard = 0; heard <= ALL.length; heard++) {
    const again = all([...ALL.slice(0, heard), ...later.slice(0, heard), ...ALL.slice(heard)]);
    assert.deepEqual(again, all(ALL));
  }
});

test("the order of events does not matter", () => {
  const wanted = all(ALL);
  assert.deepEqual(all([...ALL].reverse()), wanted);
  for (let shift = 1; shift < ALL.length; shift++) {
    assert.deepEqual(all([...ALL.slice(shift), ...ALL.slice(0, shift)]), wanted);
  }
});

test("events of an unknown type change nothing", () => {
  const session = all(ALL);
  assert.equal(reduce(session, event("slot.colour", slot(1, 1), 60)), session);
});

test("a given state is never changed", () => {
  let session = freeze(newSession(ID));
  for (const one of ALL) session = freeze(reduce(session, freeze(one)));
  assert.deepEqual(session, all(ALL));
});

test("utterances are in the order of turns, then of slots, and a slot has a latest one", () => {
  const session = all([[2, 1], [10, 1], [1, 2], [1, 1]].map(([turn, id], at) => event("slot.start", slot(turn, id), at)));
  assert.deepEqual(inOrder(session).map((one) => one.key), ["1.1", "1.2", "2.1", "10.1"]);
  assert.equal(latestOf(session, 1)?.key, "10.1");
  assert.equal(latestOf(session, 3), null);
});
