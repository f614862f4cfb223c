/** Moving agents between slots. */

/** @typedef {{slotId: number, agentId: string}} Choice */

/** The slots with two of their agents exchanged. @param {Choice[]} slots @param {number} from @param {number} to slot ids */
export function exchanged(slots, from, to) {
  const agentOf = (/** @type {number} */ id) => slots.find((one) => one.slotId === id)?.agentId ?? "";
  return slots.map((one) => {
    const other = one.slotId === from ? to : one.slotId === to ? from : one.slotId;
    return { ...one, agentId: agentOf(other) };
  });
}
