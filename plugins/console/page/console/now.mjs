/** What happens now: the connection, the last session, those that run, and what comes next. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { clock, duration, plural } from "./format.mjs";
import { countsOf, isRunning, newestFirst, startOf } from "./room.mjs";
import { Timeline } from "./timeline.mjs";

const SHOWN = 4; // sessions that run
const TICK_MS = 200;
const KINDS = ["response", "comment", "reply", "summary"]; // of the turns

/** @typedef {import("./room.mjs").RoomSession} RoomSession */

/** @param {{room: import("./room.mjs").Room}} props */
export function NowView({ room }) {
  const sessions = newestFirst(room);
  const running = sessions.filter(isRunning);
  const last = sessions.find((one) => !isRunning(one));
  const isUnsettled = last && !last.interrupted && countsOf(last).wavesToCome > 0;
  const goingOn = [...running.slice(0, SHOWN), ...(isUnsettled ? [last] : [])];
  const now = useServerTime(room.connection, goingOn.length > 0);
  const shown = running.length ? running.slice(0, SHOWN) : last ? [last] : [];
  return html`
    <h1>Now</h1>
    <${ConnectionState} connection=${room.connection} />
    <div class="cards">
      <section class="card"><h2>Last</h2>
        <p>${last ? html`${link(last)} ${outcome(last)}` : "No session yet since the server was started."}</p>
      </section>
      <section class="card"><h2>Now</h2>
        ${running.slice(0, SHOWN).map((one) => html`<p key=${one.id}>${link(one)} ${stage(one)}</p>`)}
        ${running.length > SHOWN && html`<p>And ${plural(running.length - SHOWN, "more session")}.</p>`}
        ${running.length === 0 && html`<p>Waiting for a visitor.</p>`}
      </section>
      <section class="card"><h2>Next</h2>
        ${goingOn.map((one) => html`<p key=${one.id}>${link(one)} ${next(one)}</p>`)}
        ${running.length === 0 && html`<p>The next visitor.</p>`}
      </section>
    </div>
    ${shown.map((one) => html`<section key=${one.id}>
      <h2>${isRunning(one) ? "Session" : "Last session"} ${link(one)}</h2>
      <${Timeline} session=${one} now=${goingOn.includes(one) ? now : null} />
    </section>`)}
    <p class="visually-hidden" role="status">${announcement(room, running[0] ?? last)}</p>`;
}

/** Nothing as long as the connection was never lost. @param {{connection: import("./room.mjs").Connection}} props */
function ConnectionState({ connection: { connected, lostAt, backAt, replayed, gap, restarted } }) {
  if (!connected) {
    return html`<p class="connection bad">${lostAt === null ? "Connecting to the server …"
      : `No connection since ${clock(lostAt)}. What is below is of before; the page goes on trying by itself.`}</p>`;
  }
  if (lostAt === null || backAt === null) return null;
  return html`<p class="connection ${gap && !restarted ? "warn" : "good"}">
    Connected. It was lost for ${duration(backAt - lostAt)} until ${clock(backAt)}.
    ${!restarted && ` ${plural(replayed, "missed event")} came again.`}
    ${restarted && " The server was restarted meanwhile: sessions that ran then were interrupted."}
    ${gap && !restarted && " Some missed events are lost; the pages of the sessions have the whole record."}</p>`;
}

/**
 * The time of the server, which goes on while something does.
 * @param {import("./room.mjs").Connection} connection
 * @param {boolean} isGoingOn
 */
function useServerTime({ connected, lostAt, aheadMs }, isGoingOn) {
  const [time, setTime] = useState(Date.now);
  useEffect(() => {
    if (!isGoingOn || !connected) return;
    const timer = setInterval(() => setTime(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [isGoingOn, connected]);
  return (connected ? time : lostAt ?? time) + aheadMs;
}

/** @param {RoomSession} session */
function link(session) {
  const { id, replayedFrom } = session;
  return html`<a href="#/sessions/${replayedFrom || id}">${clock(startOf(session))}</a>${replayedFrom && " (replay)"}`;
}

/** @param {RoomSession} session */
function outcome(session) {
  const { spoken, failed, withWaves } = countsOf(session);
  const took = session.interrupted ? "interrupted" : `answers took ${duration((session.finishedAt ?? 0) - startOf(session))}`;
  return html`${took}: ${plural(spoken, "utterance")}, ${withWaves} with waves.
    ${failed > 0 && html` <span class="bad">${failed} failed.</span>`}`;
}

/** @param {RoomSession} session */
function stage(session) {
  const { toCome, spoken, failed } = countsOf(session);
  if (session.turnIndex === 0) return "begins.";
  const turn = `turn ${session.turnIndex} of ${session.expected?.turns ?? 3}`;
  return `${turn}: ${plural(spoken, "utterance")} spoken, ${toCome} in work${failed ? `, ${failed} failed` : ""}.`;
}

/** @param {RoomSession} session */
function next(session) {
  const { toCome, wavesToCome } = countsOf(session);
  const { slots = [], turns = 3, medianReadyMs = null } = session.expected ?? {};
  const silent = Object.values(session.utterances).filter((one) => one.at.error && !one.at.done).length;
  const later = session.finishedAt === null ? KINDS.slice(session.turnIndex, turns) : [];
  const lately = medianReadyMs ? ` (lately ${duration(medianReadyMs)} after the speech)` : "";
  const parts = [
    toCome > 0 && `${plural(toCome, KINDS[session.turnIndex - 1] ?? "utterance")} of this turn`,
    ...later.map((kind) => (kind === "summary" ? "the summary" : `up to ${plural(slots.length - silent, kind)}`)),
    wavesToCome > 0 && `waves of ${plural(wavesToCome, "utterance")}${lately}`,
  ].filter(Boolean);
  return `${parts.join(", then ") || "the end of the session"}.`;
}

/** What a screen reader says. @param {import("./room.mjs").Room} room @param {RoomSession | undefined} session */
function announcement({ connection: { connected, lostAt } }, session) {
  if (!connected) return lostAt === null ? "" : "Connection lost.";
  if (!session) return "Waiting for a visitor.";
  const { spoken, failed } = countsOf(session);
  const failures = failed ? ` ${failed} failed.` : "";
  if (isRunning(session)) return `Turn ${session.turnIndex} runs.${failures}`;
  return `The session is over. ${plural(spoken, "utterance")}.${failures}`;
}
