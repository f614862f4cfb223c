import assert from "node:assert/strict";
import { test } from "node:test";

const { exchanged, oneAfterAnother } = await import("../../../plugins/console/page/console/exchange.mjs");
const { idsOfDay } = await import("../../../plugins/console/page/console/format.mjs");

test("two slots exchange their agents, and no other changes", () => {
  const slots = [{ slotId: 1, agentId: "a" }, { slotId: 2, agentId: "b" }, { slotId: 4, agentId: "c" }];

  const after = exchanged(slots, 4, 1);

  assert.deepEqual(after.map((one) => `${one.slotId}${one.agentId}`), ["1c", "2b", "4a"]);
  assert.deepEqual(slots[0], { slotId: 1, agentId: "a" });
});

test("changes are saved one after the other, and the last one wins", async () => {
  const saved = [];
  const answers = [];
  const save = oneAfterAnother((value, isLast) => {
    saved.push(value);
    return new Promise((answer) => answers.push(() => answer(saved.push(isLast()))));
  });
  const first = save("a");
  await save("b");
  await save("c");
  assert.deepEqual(saved, ["a"]);
  answers[0]();
  while (answers.length < 2) await null;
  answers[1]();
  await first;
  assert.deepEqual(saved, ["a", false, "c", true]);
});

test("a day begins and ends by the clock of this machine", () => {
  process.env.TZ = "Asia/Tokyo";
  assert.deepEqual(idsOfDay("2026-11-29"), { since: "20261128T150000Z", before: "20261129T150000Z" });
  process.env.TZ = "America/New_York"; // a day of 25 hours
  assert.deepEqual(idsOfDay("2026-11-01"), { since: "20261101T040000Z", before: "20261102T050000Z" });
});
