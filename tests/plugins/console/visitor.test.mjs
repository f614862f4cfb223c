/** The visitor's page without a browser: texts, recordings, what is heard when, and what the dishes show. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const PAGE = new URL("../../../plugins/console/page/", import.meta.url);
const of = (name) => import(new URL(name, PAGE));
const { ApiError } = await of("api.mjs");
const { newSession, reduce } = await of("session.mjs");
const { createEnvelopes, levelsAt, scaled } = await of("visitor/envelopes.mjs");
const { nextOf } = await of("visitor/playback.mjs");
const { MicrophoneError } = await of("visitor/recorder.mjs");
const { commentsOf, isOver, stageOf } = await of("visitor/stage.mjs");
const { aSecondLater, canRepeat, troubleOf } = await of("visitor/trouble.mjs");
const { encodeWav, levelOf } = await of("visitor/wav.mjs");

const texts = (language) => JSON.parse(readFileSync(new URL(`texts/${language}.json`, PAGE), "utf8"));
const KINDS = ["response", "comment", "reply"];

/** A session after steps such as "1.2 audio": the slot 2 is spoken in turn 1. */
function sessionOf(...steps) {
  return steps.reduce((session, step) => {
    const [, turnIndex, slotId, moment] = step.match(/^(\d)\.(\d) (\w+)$/) ?? [];
    if (!moment) return reduce(session, { type: step, payload: { completedSlots: 2 }, at: 1 });
    const slot = { turnIndex: +turnIndex, slotId: +slotId, agentId: "a", kind: KINDS[turnIndex - 1] };
    const target = slot.kind === "comment" ? { targetSlotId: (slot.slotId % 2) + 1 } : {};
    const payload = { ...slot, ...target, text: `words of ${step}`, audioPath: `${step}.wav`, error: { message: "no" } };
    return reduce(session, { type: `slot.${moment}`, payload, at: 1 });
  }, newSession("s"));
}
const spoken = (...keys) => keys.flatMap((key) => [`${key} start`, `${key} done`, `${key} audio`]);

test("every text is there in both languages, with the same places for values", () => {
  const [english, german] = [texts("en"), texts("de")];
  const placesOf = (all) => Object.fromEntries(Object.entries(all).map(([key, text]) => [key, text.match(/\{\w+\}/g)]));
  assert.deepEqual(placesOf(german), placesOf(english));
});

test("every text that the page names is there, and none is there for nothing", () => {
  const folder = new URL("visitor/", PAGE);
  const source = [...readdirSync(folder), "../login.mjs", "../console/app.mjs", "../console/emergency_stop.mjs", "../console/sound_check.mjs"].map((name) => readFileSync(new URL(name, folder), "utf8")).join();
  const words = new Set(source.match(/"[\w.]+"/g).map((word) => word.slice(1, -1)));
  const known = texts("en");
  for (const [, key] of source.matchAll(/\bt\("([\w.]+)"/g)) assert.ok(key in known, key);
  const dynamic = (key) => key.startsWith("kind.") || words.has(key.replace("trouble.", ""));
  assert.deepEqual(Object.keys(known).filter((key) => !words.has(key) && !dynamic(key)), []);
});

test("a recording is a WAV file that says its rate and its length", () => {
  const view = new DataView(encodeWav(new Float32Array([0, 0.5, 2, -2]), 16000));
  const text = (at) => String.fromCharCode(...new Uint8Array(view.buffer, at, 4));
  assert.deepEqual([text(0), text(8), text(12), text(36)], ["RIFF", "WAVE", "fmt ", "data"]);
  assert.deepEqual([view.getUint32(4, true), view.getUint32(40, true), view.byteLength], [44, 8, 52]);
  assert.deepEqual([view.getUint16(22, true), view.getUint32(24, true), view.getUint32(28, true)], [1, 16000, 32000]);
  assert.deepEqual([0, 1, 2, 3].map((place) => view.getInt16(44 + 2 * place, true)), [0, 16384, 32767, -32767]);
});

test("the level is 0 in silence, 1 at full scale, and grows between", () => {
  const tone = (amplitude) => levelOf(new Float32Array(1024).map((_, index) => amplitude * Math.sin(index / 3)));
  assert.equal(levelOf(new Float32Array(0)), 0);
  assert.equal(tone(0), 0);
  assert.equal(tone(1), 1);
  assert.ok(0 < tone(0.01) && tone(0.01) < tone(0.1) && tone(0.1) < 1);
});

test("utterances are heard by turn and slot; a late one is heard before a later turn", () => {
  const session = sessionOf(...spoken("2.1", "1.3", "1.1"), "1.2 start");
  const heard = new Set();
  const order = [];
  for (let next = nextOf(session, heard); next; next = nextOf(session, heard)) {
    order.push(next.key);
    heard.add(next.key);
  }
  assert.deepEqual(order, ["1.1", "1.3", "2.1"]);
  assert.equal(nextOf(sessionOf(...spoken("2.1", "1.1", "1.2")), new Set(["1.1"])).key, "1.2");
});

test("what failed is not waited for", () => {
  const session = sessionOf(...spoken("1.1"), "1.2 start", "1.2 error", "done");
  assert.equal(nextOf(session, new Set(["1.1"])), null);
  assert.equal(isOver(session, new Set()), false);
  assert.equal(isOver(session, new Set(["1.1"])), true);
});

test("a dish shows its words when they are heard, not when they are known", () => {
  const session = sessionOf(...spoken("1.1", "1.2"));
  const [first, second] = [session.utterances["1.1"], session.utterances["1.2"]];
  assert.equal(stageOf(session, first, new Set(), 2).utterance, null);
  assert.deepEqual([1, 2].map((slot) => stageOf(session, first, new Set(), slot).phase), ["speaking", "rest"]);
  assert.equal(stageOf(session, second, new Set(["1.1"]), 1).utterance.text, first.text);
});

test("a dish thinks while its agent is asked, and shows that it failed once nothing of it is to be heard", () => {
  const failed = sessionOf(...spoken("1.1"), "2.1 start", "2.1 error");
  assert.equal(stageOf(sessionOf("1.1 start"), null, new Set(), 1).phase, "thinking");
  assert.equal(stageOf(failed, null, new Set(), 1).phase, "rest");
  assert.equal(stageOf(failed, null, new Set(["1.1"]), 1).phase, "failed");
});

test("the summary moves all dishes", () => {
  const summary = { ...sessionOf(...spoken("1.1")).utterances["1.1"], slotId: 0, key: "4.0" };
  assert.equal(stageOf(newSession("s"), summary, new Set(), 5).phase, "speaking");
});

test("comments that were heard have a line, the present one last", () => {
  const session = sessionOf(...spoken("1.1", "1.2", "2.1", "2.2"));
  const now = session.utterances["2.2"];
  assert.deepEqual(commentsOf(session, null, new Set()), []);
  assert.deepEqual(commentsOf(session, now, new Set(["1.1", "2.1"])).map((one) => one.key), ["2.1", "2.2"]);
});

test("the three waves keep their proportion, and are silent before and after", () => {
  const levels = scaled([{ min: [-0.5, 0], max: [0.1, 0] }, { min: [0, 0], max: [0.25, 0.25] }, { min: [0], max: [0] }]);
  assert.deepEqual(levels, [[1, 0], [0.5, 0.5], [0]]);
  assert.deepEqual(levelsAt({ durationS: 2, levels }, 1), [0.5, 0.5, 0]);
  assert.deepEqual([levelsAt({ durationS: 2, levels }, -0.1), levelsAt({ durationS: 2, levels }, 2)], [[0, 0, 0], [0, 0, 0]]);
});

test("the speech moves the water until its waves are there; each is asked for once", async () => {
  const asked = [];
  const envelopes = createEnvelopes(async (path, count) => {
    asked.push([path, count]);
    return { durationS: 4, sampleRate: 8000, min: [-1], max: [1] };
  });
  const one = sessionOf(...spoken("1.1")).utterances["1.1"];
  envelopes.ask(one);
  assert.equal(await envelopes.durationOf(one), 4);
  assert.deepEqual(envelopes.of("1.1").levels, [[1], [0.7], [0.45]]);
  envelopes.ask({ ...one, waves: ["w1", "w2", "w3", "w4 by another profile"] });
  await new Promise(setImmediate);
  assert.deepEqual(envelopes.of("1.1").levels, [[1], [1], [1]]);
  assert.deepEqual(asked.slice(1), [["w1", 100], ["w2", 100], ["w3", 100]]);
  assert.equal(asked.filter(([path]) => path === one.audioPath).length, 1);
});

test("what utterances do to water is asked for one after the other, and again after a failure", async () => {
  const pathOf = (key) => `${key}_faraday_wave1.wav`;
  const asked = [];
  const answers = [];
  const loadSurface = (path) => new Promise((resolve, reject) => asked.push(path) && answers.push({ resolve, reject }));
  const envelopes = createEnvelopes(async () => ({ durationS: 4, min: [-1], max: [1] }), loadSurface);
  const [first, second, still] = ["1.1", "1.2", "1.3"].map((key) => ({ ...sessionOf(...spoken(key)).utterances[key], waves: ["1", "2", "3", pathOf(key)] }));
  for (const one of [first, second, first, { ...still, waves: ["1", "2", "3"] }]) envelopes.ask(one);
  const settled = () => new Promise(setImmediate);
  await settled();
  assert.deepEqual(asked, [pathOf("1.1")]);
  answers[0].reject(new ApiError(503, "", 10));
  await settled();
  assert.deepEqual([asked, envelopes.surfaceOf("1.1")], [["1.1", "1.2"].map(pathOf), null]);
  envelopes.ask(first);
  answers[1].resolve("second");
  await settled();
  answers[2].resolve("first");
  await settled();
  assert.deepEqual([asked, envelopes.surfaceOf("1.1"), envelopes.surfaceOf("1.2")], [["1.1", "1.2", "1.1"].map(pathOf), "first", "second"]);
});

test("an utterance without its recording stays as long as it takes to read", async () => {
  const envelopes = createEnvelopes(async () => Promise.reject(new ApiError(404, "")));
  assert.equal(await envelopes.durationOf({ ...sessionOf(...spoken("1.1")).utterances["1.1"], text: "one two three four five" }), 3);
});

test("each problem has its own sentence", () => {
  const keyOf = (status, doing, retryAfterS = 0) => troubleOf(new ApiError(status, "", retryAfterS), doing).key;
  assert.deepEqual([0, 401, 422, 503].map((status) => keyOf(status, "hear")), ["away", "token", "notUnderstood", "hearingOff"]);
  assert.deepEqual([0, 401, 422, 503].map((status) => keyOf(status, "ask")), ["away", "token", "notAccepted", "busy"]);
  assert.equal(keyOf(503, "hear", 2), "busy");
  assert.deepEqual(troubleOf(new ApiError(429, "", 7), "hear"), { key: "often", seconds: 7 });
  assert.equal(troubleOf(new MicrophoneError("refused"), "hear").key, "refused");
  assert.equal(troubleOf(new TypeError("x"), "ask").key, "unexpected");
});

test("a wait is counted down, and what was not understood is not sent again", () => {
  const { key, seconds } = troubleOf(new ApiError(503, "", 2), "ask");
  assert.deepEqual(aSecondLater({ key, seconds }), { key: "busy", seconds: 1 });
  assert.deepEqual(aSecondLater({ key, seconds: 1 }), { key: "over", seconds: 0 });
  const repeats = (status, doing) => canRepeat(troubleOf(new ApiError(status, ""), doing));
  assert.deepEqual([0, 429, 502, 503, 422].map((status) => repeats(status, "hear")), [true, true, true, true, false]);
});
