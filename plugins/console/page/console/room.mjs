/** The state of all sessions and of the connection, as a pure function of everything that `followAll` tells. */

import { newSession, reduce as reduceSession } from "../session.mjs";

export const KEPT_SESSIONS = 50;
const KEPT_OUTCOMES = 100;

/**
 * @typedef {{slots: number[], turns: number, medianReadyMs: number | null}} Expected as told when a session begins
 * @typedef {{waves: string[], reason: string, at: number}} Outcome paths of the three waves, or why there are none
 * @typedef {{expected: Expected | null, readyMs: Record<string, number>, interrupted: boolean}} More
 *   `readyMs`: from speech to waves, by key; `interrupted`: the server was restarted before the session was over
 * @typedef {import("../session.mjs").Session & More} RoomSession
 * @typedef {{connected: boolean, lostAt: number | null, backAt: number | null, replayed: number, gap: boolean,
 *   restarted: boolean, aheadMs: number}} Connection
 *   `lostAt`, `backAt`: the latest loss and its end, by this machine's clock; the others as `followAll` tells them
 * @typedef {{sessions: Map<string, RoomSession>, outcomes: Map<string, Outcome>, connection: Connection}} Room
 *   `sessions` by id; `outcomes` by the path of the speech, also of earlier sessions; the latest of each
 * @typedef {{type: string, sessionId: string, payload: any, at: number}} RoomEvent
 * @typedef {Partial<Connection> & {connected: boolean, at: number}} ConnectionState
 */

/** @returns {Room} */
export function newRoom() {
  const connection = {
    connected: false, lostAt: null, backAt: null, replayed: 0, gap: false, restarted: false, aheadMs: 0,
  };
  return { sessions: new Map(), outcomes: new Map(), connection };
}

/**
 * Return the state after an event of a session or a change of the connection; the given state is not changed.
 * @param {Room} room
 * @param {RoomEvent | ConnectionState} told
 * @returns {Room}
 */
export function reduce(room, told) {
  if ("connected" in told) return withConnection(room, told);
  if (told.type === "utterance.waves.ready" || told.type === "utterance.waves.failed") return withOutcome(room, told);
  const before = room.sessions.get(told.sessionId);
  if (told.type === "session.expected") {
    const { slots, turns, medianReadyMs } = told.payload;
    return withSession(room, { ...(before ?? begin(told.sessionId)), expected: { slots, turns, medianReadyMs } });
  }
  if (!before && !/^(session\.start|turn\.start|slot\.\w+)$/.test(told.type)) return room;
  const session = before ?? begin(told.sessionId);
  const after = /** @type {RoomSession} */ (reduceSession(session, told));
  return after === before ? room : withSession(room, after);
}

/** The sessions, the one that began last first. @param {Room} room */
export function newestFirst(room) {
  return [...room.sessions.values()].sort((a, b) => startOf(b) - startOf(a) || (a.id < b.id ? 1 : -1));
}

/**
 * When a session began; its id says so if the event was missed.
 * @param {{id: string, startedAt: number | null}} session
 */
export function startOf({ id, startedAt }) {
  return startedAt ?? (Date.parse(id.replace(/^(....)(..)(..)T(..)(..)(..)Z.*$/, "$1-$2-$3T$4:$5:$6Z")) || 0);
}

/** How far the utterances of a session are. @param {import("../session.mjs").Session} session */
export function countsOf(session) {
  const all = Object.values(session.utterances);
  const spoken = all.filter((one) => one.audioPath);
  const withWaves = spoken.filter((one) => one.waves.length > 0).length;
  const withoutWaves = spoken.filter((one) => one.wavesReason).length;
  return {
    toCome: all.filter((one) => one.phase === "thinking" || one.phase === "speaking").length,
    spoken: spoken.length,
    failed: all.filter((one) => one.phase === "failed").length,
    withWaves,
    wavesToCome: spoken.length - withWaves - withoutWaves,
  };
}

/** @param {RoomSession} session */
export function isRunning(session) {
  return session.finishedAt === null && !session.interrupted;
}

/** @param {string} id @returns {RoomSession} */
function begin(id) {
  return { ...newSession(id), expected: null, readyMs: {}, interrupted: false };
}

/** @param {Room} room @param {RoomSession} session @returns {Room} */
function withSession(room, session) {
  const sessions = new Map(room.sessions).set(session.id, session);
  if (sessions.size > KEPT_SESSIONS) sessions.delete([...sessions.keys()].reduce((a, b) => (a < b ? a : b)));
  return { ...room, sessions };
}

/** @param {Room} room @param {RoomEvent} event @returns {Room} */
function withOutcome(room, { sessionId, payload, at }) {
  const files = [...(payload.waves ?? []), ...(payload.profileWaves ?? [])].map((/** @type {{url: string}} */ wave) => relative(wave.url));
  const reason = payload.reason ?? "";
  const path = relative(payload.audioUrl);
  const outcomes = new Map(room.outcomes).set(path, { waves: files, reason, at });
  if (outcomes.size > KEPT_OUTCOMES) outcomes.delete([...outcomes.keys()][0]);
  const after = { ...room, outcomes };
  const known = room.sessions.get(sessionId);
  if (!known && payload.backfill) return after;
  const session = known ?? begin(sessionId);
  const key = `${payload.turnIndex}.${payload.slotId}`;
  const waves = { type: "slot.waves", payload: { ...payload, files, reason }, at };
  if (payload.backfill) waves.at = session.utterances[key]?.at.audio ?? at; // nobody waited for them
  const { utterances } = reduceSession(session, waves);
  return withSession(after, {
    ...session,
    utterances: { ...utterances, [key]: { ...utterances[key], waves: files, wavesReason: reason } },
    readyMs: payload.readyMs == null ? session.readyMs : { ...session.readyMs, [key]: payload.readyMs },
  });
}

/** The path of a recording below the server's folder, from its address. @param {string} url */
function relative(url) {
  return url.slice(url.indexOf("/v1/audio/") + "/v1/audio/".length);
}

/** @param {Room} room @param {ConnectionState} state @returns {Room} */
function withConnection(room, { at, ...state }) {
  const before = room.connection;
  if (!state.connected) {
    if (!before.connected && before.lostAt !== null) return room;
    return { ...room, connection: { ...newRoom().connection, aheadMs: before.aheadMs, lostAt: at } };
  }
  const isBack = !before.connected && before.lostAt !== null;
  const connection = { ...before, ...state, backAt: isBack ? at : before.backAt };
  if (!state.restarted) return { ...room, connection };
  const sessions = new Map(room.sessions);
  for (const [id, one] of sessions) if (isRunning(one)) sessions.set(id, { ...one, interrupted: true });
  return { ...room, connection, sessions };
}
