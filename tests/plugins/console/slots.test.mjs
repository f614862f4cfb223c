import assert from "node:assert/strict";
import { test } from "node:test";

test("two slots exchange their agents, and no other changes", async () => {
  const { exchanged } = await import("../../../plugins/console/page/console/exchange.mjs");
  const slots = [{ slotId: 1, agentId: "a" }, { slotId: 2, agentId: "b" }, { slotId: 4, agentId: "c" }];

  const after = exchanged(slots, 4, 1);

  assert.deepEqual(after.map((one) => `${one.slotId}${one.agentId}`), ["1c", "2b", "4a"]);
  assert.deepEqual(slots[0], { slotId: 1, agentId: "a" });
});
