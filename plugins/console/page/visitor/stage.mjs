/** What each dish shows at a moment of the session: its phase and its words, as they are heard. */

import { inOrder, latestOf } from "../session.mjs";

/**
 * @typedef {import("../session.mjs").Session} Session
 * @typedef {import("../session.mjs").Utterance} Utterance
 *
 * @typedef {object} Stage
 * @property {"rest" | "thinking" | "speaking" | "failed"} phase
 * @property {Utterance | null} utterance the one that is heard, or was heard last
 * @property {Utterance[]} said all that was heard of this dish, and what could not be spoken
 */

/**
 * @param {Session | null} session
 * @param {Utterance | null} current
 * @param {Set<string>} heard keys
 * @param {number} slotId
 * @returns {Stage}
 */
export function stageOf(session, current, heard, slotId) {
  if (!session) return { phase: "rest", utterance: null, said: [] };
  const own = inOrder(session).filter((one) => one.slotId === slotId);
  const said = own.filter((one) => one.text && (heard.has(one.key) || one.key === current?.key || one.phase === "failed"));
  const isCurrent = current !== null && (current.slotId === slotId || current.slotId === 0);
  const isAsked = own.some((one) => one.phase === "thinking" || one.phase === "speaking");
  const isWaiting = own.some((one) => one.phase === "spoken" && !heard.has(one.key));
  const isFailed = latestOf(session, slotId)?.phase === "failed" && !isWaiting;
  const phase = isCurrent ? "speaking" : isAsked && !session.finishedAt ? "thinking" : isFailed ? "failed" : "rest";
  return { phase, utterance: said.filter((one) => one.phase !== "failed").at(-1) ?? null, said };
}

/**
 * Return the comments that were heard, the one that is heard now last.
 * @param {Session | null} session
 * @param {Utterance | null} current
 * @param {Set<string>} heard
 */
export function commentsOf(session, current, heard) {
  if (!session) return [];
  const heardOnes = inOrder(session).filter((one) => one.targetSlotId && heard.has(one.key));
  return current?.targetSlotId ? [...heardOnes, current] : heardOnes;
}

/** Whether all that was spoken has been heard, and nothing more comes. @param {Session} session @param {Set<string>} heard */
export function isOver(session, heard) {
  return session.finishedAt !== null && inOrder(session).every((one) => one.phase !== "spoken" || heard.has(one.key));
}
