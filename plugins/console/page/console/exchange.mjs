/** Moving agents between slots, and saving where they are. */

/** @typedef {{slotId: number, agentId: string}} Choice */

/** The slots with two of their agents exchanged. @param {Choice[]} slots @param {number} from @param {number} to slot ids */
export function exchanged(slots, from, to) {
  const agentOf = (/** @type {number} */ id) => slots.find((one) => one.slotId === id)?.agentId ?? "";
  return slots.map((one) => {
    const other = one.slotId === from ? to : one.slotId === to ? from : one.slotId;
    return { ...one, agentId: agentOf(other) };
  });
}

/**
 * Return a function that saves one value after the other; of those that come meanwhile only the last is saved.
 * @template T
 * @param {(value: T, isLast: () => boolean) => Promise<void>} save never fails; `isLast`: nothing waits
 * @returns {(value: T) => Promise<void>}
 */
export function oneAfterAnother(save) {
  /** @type {T[]} */
  let waiting = [];
  let isSaving = false;
  return async (value) => {
    waiting = [value];
    if (isSaving) return;
    isSaving = true;
    for (let next; (next = waiting.pop()) !== undefined; ) await save(next, () => waiting.length === 0);
    isSaving = false;
  };
}
