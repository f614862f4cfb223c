/**
 * The state of one session as a pure function of its events.
 *
 * An event is `{type, payload, at}`: its name, its data, and the time in milliseconds since 1970.
 * They may come twice, or again from the start.
 */

/**
 * @typedef {"thinking" | "speaking" | "spoken" | "failed"} Phase
 * thinking: the agent was asked; speaking: its words are known and its speech is made;
 * spoken: the speech is there; failed: nothing more comes in this turn
 *
 * @typedef {object} Utterance
 * @property {string} key `<turn>.<slot>`
 * @property {number} turnIndex
 * @property {string} kind response, comment, reply or summary
 * @property {number} slotId
 * @property {string} agentId
 * @property {number | null} targetSlotId on whom it comments
 * @property {Phase} phase
 * @property {string} text
 * @property {string} voiceProfile
 * @property {string} audioPath empty until it is spoken
 * @property {string[]} waves paths; empty until they are there
 * @property {string} wavesReason why there are none
 * @property {string} error
 * @property {{start?: number, done?: number, audio?: number, waves?: number, error?: number}} at
 *
 * @typedef {object} Session
 * @property {string} id
 * @property {string} replayedFrom the session that is played again, empty if it is none
 * @property {number | null} startedAt
 * @property {number | null} finishedAt
 * @property {number} turnIndex the turn that runs, 0 before the first
 * @property {number} completedSlots
 * @property {Record<number, {startedAt?: number, finishedAt?: number}>} turns
 * @property {Record<string, Utterance>} utterances
 *
 * @typedef {{type: string, payload: any, at: number}} SessionEvent
 */

/** @param {string} id @returns {Session} */
export function newSession(id) {
  return { id, replayedFrom: "", startedAt: null, finishedAt: null, turnIndex: 0, completedSlots: 0, turns: {}, utterances: {} };
}

/**
 * Return the state after an event; the given state is not changed.
 * @param {Session} session
 * @param {SessionEvent} event
 * @returns {Session}
 */
export function reduce(session, { type, payload, at }) {
  switch (type) {
    case "session.start":
      return session.startedAt ? session : { ...session, startedAt: at, replayedFrom: payload.replayedFrom ?? "" };
    case "turn.start":
      return withTurn({ ...session, turnIndex: Math.max(session.turnIndex, payload.turnIndex) }, payload.turnIndex, { startedAt: at });
    case "turn.done":
      return withTurn(session, payload.turnIndex, { finishedAt: at });
    case "slot.start":
      return withUtterance(session, payload, "start", at, { phase: "thinking" });
    case "slot.done":
      return withUtterance(session, payload, "done", at, {
        phase: "speaking", text: payload.text, voiceProfile: payload.voiceProfile, targetSlotId: payload.targetSlotId ?? null,
      });
    case "slot.audio":
      return withUtterance(session, payload, "audio", at, { phase: "spoken", audioPath: payload.audioPath });
    case "slot.error":
      return withUtterance(session, payload, "error", at, { phase: "failed", error: payload.error.message });
    case "slot.waves":
      return withUtterance(session, payload, "waves", at, { waves: payload.files ?? [], wavesReason: payload.reason ?? "" });
    case "done":
      return { ...session, finishedAt: session.finishedAt ?? at, completedSlots: payload.completedSlots };
    default:
      return session;
  }
}

/** The utterances in the order in which they are heard: by turn, then by slot. @param {Session} session */
export function inOrder(session) {
  return Object.values(session.utterances).sort((a, b) => a.turnIndex - b.turnIndex || a.slotId - b.slotId);
}

/** The latest utterance of a slot, null if it has none. @param {Session} session @param {number} slotId */
export function latestOf(session, slotId) {
  return inOrder(session).filter((one) => one.slotId === slotId).at(-1) ?? null;
}

/** @param {Session} session @param {number} turnIndex @param {object} change */
function withTurn(session, turnIndex, change) {
  return { ...session, turns: { ...session.turns, [turnIndex]: { ...change, ...session.turns[turnIndex] } } };
}

const ORDER = ["start", "done", "audio", "error"];

/**
 * @param {Session} session
 * @param {any} payload
 * @param {string} moment
 * @param {number} at
 * @param {Partial<Utterance>} change
 */
function withUtterance(session, payload, moment, at, change) {
  const key = `${payload.turnIndex}.${payload.slotId}`;
  const before = session.utterances[key] ?? {
    key, turnIndex: payload.turnIndex, kind: payload.kind, slotId: payload.slotId, agentId: payload.agentId,
    targetSlotId: null, phase: "thinking", text: "", voiceProfile: "", audioPath: "", waves: [], wavesReason: "", error: "", at: {},
  };
  if (moment in before.at) return session;
  const isLate = ORDER.slice(ORDER.indexOf(moment) + 1).some((later) => later in before.at);
  const { phase, ...rest } = change;
  const after = { ...before, ...rest, phase: isLate || !phase ? before.phase : phase, at: { ...before.at, [moment]: at } };
  return { ...session, utterances: { ...session.utterances, [key]: after } };
}
