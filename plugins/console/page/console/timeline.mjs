/** The turns of a session on a time axis: a row for each slot, with the times of agent, speech and waves. */

import { html } from "htm/preact";
import { useMemo } from "preact/hooks";
import { inOrder } from "../session.mjs";
import { Axis } from "./axis.mjs";
import { duration, turnName } from "./format.mjs";
import { isRunning } from "./room.mjs";
import { spansOf, stepOf } from "./scale.mjs";
import { troubleOf } from "./troubles.mjs";

/**
 * @typedef {import("../session.mjs").Utterance} Utterance
 * @typedef {import("./scale.mjs").Span} Span
 */

/** @param {{session: import("./room.mjs").RoomSession, now: number | null}} props `now` null: nothing goes on */
export function Timeline({ session, now }) {
  return useMemo(() => {
    const all = inOrder(session).map((utterance) => ({ utterance, spans: spansOf(utterance, now) }));
    const turns = [...new Set(all.map(({ utterance }) => utterance.turnIndex))].map((turnIndex) => {
      const rows = all.filter(({ utterance }) => utterance.turnIndex === turnIndex);
      const spans = rows.flatMap((row) => row.spans);
      const from = Math.min(...spans.map((one) => one.from));
      return { turnIndex, rows, from, length: Math.max(from, ...spans.map((one) => one.to)) - from };
    });
    const length = Math.max(1000, ...turns.map((one) => one.length || 0));
    return html`<div class="turns">
      ${turns.map((turn) => html`<${Turn} key=${turn.turnIndex} ...${turn} length=${length} session=${session} />`)}
    </div>`;
  }, [session, now]);
}

/**
 * One turn; all turns of a session have the same length of axis.
 * @param {{rows: {utterance: Utterance, spans: Span[]}[], from: number, length: number,
 *   session: import("./room.mjs").RoomSession}} props
 */
function Turn({ rows, from, length, session }) {
  const share = (/** @type {number} */ value) => `${(100 * value) / length}%`;
  return html`<section class="turn" style=${{ "--step": share(stepOf(length)) }}>
    <h3>${turnName(rows[0].utterance)}</h3>
    <${Axis} length=${length / 1000} unit="s" />
    <ol class="rows">
      ${rows.map(({ utterance, spans }) => html`<li key=${utterance.key}>
        <details>
          <summary>
            <${Who} utterance=${utterance} />
            <span class="muted">${stateOf(utterance, isRunning(session))}</span>
            <span class="bar" aria-hidden="true">
              ${spans.map((one) => html`<span class="${one.name} ${one.isOpen ? "open" : ""}"
                style=${{ left: share(one.from - from), width: share(one.to - one.from) }}></span>`)}
            </span>
            <span class="spans">${spans.map((one) => html`<span class=${one.name}>${one.name} ${" "}
              ${duration(one.name === "waves" && session.readyMs[utterance.key] || one.to - one.from)}</span>`)}</span>
          </summary>
          <p>${utterance.text || "No text."}</p>
        </details>
        ${troubleOf(utterance) && html`<p class="trouble">${troubleOf(utterance)}</p>`}
      </li>`)}
    </ol>
  </section>`;
}

/** @param {{utterance: {slotId: number, agentId: string, targetSlotId: number | null}}} props */
export function Who({ utterance: { slotId, agentId, targetSlotId } }) {
  return html`<span class="who">
    <b class="slot"><span class="visually-hidden">slot </span>${slotId || "all"}</b> ${agentId}
    ${targetSlotId !== null && html` <span class="muted">on slot ${targetSlotId}</span>`}</span>`;
}

/** @param {Utterance} utterance @param {boolean} isGoingOn */
function stateOf({ phase, audioPath, waves, wavesReason }, isGoingOn) {
  if (phase === "failed") return "failed";
  if (waves.length > 0) return "ready";
  if (wavesReason) return "no waves";
  if (!isGoingOn && !audioPath) return "interrupted";
  return phase === "thinking" ? phase : audioPath ? "waves to come" : "speech to come";
}
