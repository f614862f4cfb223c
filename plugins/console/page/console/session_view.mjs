/** One session: every utterance with its text, and on demand its sound and waves. */

import { html } from "htm/preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { ApiError, get, send } from "../api.mjs";
import { clock, day, plural, turnName } from "./format.mjs";
import { ReplayButton } from "./replay.mjs";
import { isRunning } from "./room.mjs";
import { Sound } from "./sound.mjs";
import { Who } from "./timeline.mjs";
import { wavesTrouble } from "./troubles.mjs";

const GONE = "There is no such session; it may have been removed.";

/** @typedef {import("./room.mjs").Outcome | undefined} Outcome what was told of waves since the page was opened */

/** @param {{room: import("./room.mjs").Room, sessionId: string}} props */
export function SessionView({ room, sessionId }) {
  const [session, setSession] = useState(/** @type {any} */ (null)); // as the server tells it
  const [problem, setProblem] = useState("");
  const live = room.sessions.get(sessionId);
  const load = useCallback(async () => {
    try {
      setSession(await get(`/v1/sessions/${encodeURIComponent(sessionId)}`));
      setProblem("");
    } catch (error) {
      const isGone = error instanceof ApiError && error.status === 404;
      setProblem(isGone ? GONE : /** @type {Error} */ (error).message);
      if (isGone) setSession(null);
    }
  }, [sessionId]);
  useEffect(() => void load(), [load, live?.turnIndex, live?.finishedAt, room.connection.backAt]);

  const back = html`<p><a href="#/sessions">All sessions</a></p>`;
  if (!session) {
    const isNew = problem === GONE && live && isRunning(live);
    return html`${back}<h1>Session</h1>
      <p role="status">${isNew ? "The session has just begun." : problem || "Loading …"}</p>`;
  }
  /** @type {any[]} */
  const utterances = session.utterances;
  const turns = [...new Set(utterances.map((one) => one.turnIndex))];
  return html`${back}
    <h1>Session of ${day(session.startedAt)}, ${clock(session.startedAt)}</h1>
    <p class="muted">${session.status}, ${session.spoken ? "spoken" : "typed"} by the visitor,
      ${" "}${plural(session.slots.length, "slot")}, ${plural(utterances.length, "utterance")}.
      <span class="id"> ${sessionId}</span></p>
    <${ReplayButton} sessionId=${sessionId} />
    ${problem && html`<p role="alert" class="bad">${problem}</p>`}
    ${turns.map((turnIndex) => {
      const all = utterances.filter((one) => one.turnIndex === turnIndex);
      return html`<section key=${turnIndex}>
        <h2>${turnName(all[0])}</h2>
        ${all.map((one) => html`<${Utterance} key=${one.slotId} utterance=${one} sessionId=${sessionId} onGone=${load}
          outcome=${room.outcomes.get(one.audioPath ?? "")} />`)}
      </section>`;
    })}`;
}

/** @param {{utterance: any, sessionId: string, outcome: Outcome, onGone: () => void}} props */
function Utterance({ utterance, sessionId, outcome, onGone }) {
  const [isOpen, setIsOpen] = useState(false);
  const { audioPath, durationS, text, voiceProfile, slotId } = utterance;
  const waves = outcome?.waves ?? utterance.waves;
  const reason = outcome?.reason ?? utterance.wavesReason;
  return html`<article class="utterance">
    <p class="head"><${Who} utterance=${utterance} />
      <span class="muted">voice ${voiceProfile}${durationS !== null && `, ${durationS.toFixed(1)} s`}</span></p>
    <p>${text || html`<span class="muted">The text is not kept.</span>`}</p>
    ${audioPath ? html`
      ${reason && waves.length === 0 && html`<p class="trouble">${wavesTrouble(reason)}</p>`}
      <details onToggle=${(/** @type {any} */ event) => setIsOpen(event.currentTarget.open)}>
        <summary>Sound and waves<span class="visually-hidden"> of slot ${slotId}</span></summary>
        ${isOpen && html`
          <${Sound} key=${outcome?.at} name=${sessionId} speech=${audioPath} waves=${waves} onGone=${onGone} />
          <${MakeAgain} audioPath=${audioPath} outcome=${outcome} />`}
      </details>` : html`<p class="trouble">It was not spoken: no speech could be made.</p>`}
  </article>`;
}

/** @param {{audioPath: string, outcome: Outcome}} props */
function MakeAgain({ audioPath, outcome }) {
  const [asked, setAsked] = useState(/** @type {{before?: number, problem: string} | null} */ (null));
  async function ask() {
    setAsked({ before: outcome?.at, problem: "" });
    await send("/v1/waves", { audioPath }).catch((error) => setAsked({ problem: `Not made: ${error.message}` }));
  }
  const isMade = asked && outcome && outcome.at !== asked.before;
  const isQueued = asked && !isMade && !asked.problem;
  const made = outcome?.reason ? "They could not be made." : `Made again at ${clock(outcome?.at ?? 0)}.`;
  return html`<p class="buttons">
    <button onClick=${ask} disabled=${isQueued}>Make the waves again</button>
    <span role="status">${!asked ? "" : isQueued ? "Queued …" : asked.problem || made}</span>
  </p>`;
}
