/** Plays a recorded session again, to the pages, TouchDesigner and OSC. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { get, send } from "../api.mjs";

const EVERY_MS = 500;

/** @typedef {{id: number, replayedFrom: string, running: boolean, emitted: number, signals: number, to: string[]}} Replay */

/** The latest that is wanted, null if there is none. @param {(one: Replay) => boolean} isWanted @returns {Promise<Replay | null>} */
async function find(isWanted) {
  return (await get("/v1/replays")).filter(isWanted).at(-1) ?? null;
}

/** @param {{sessionId: string}} props */
export function ReplayButton({ sessionId }) {
  const [replay, setReplay] = useState(/** @type {Replay | null} */ (null));
  const [problem, setProblem] = useState("");
  /** @param {() => Promise<Replay | null>} action */
  async function attempt(action) {
    await action().then((state) => {
      setReplay(state);
      setProblem("");
    }, (error) => {
      setReplay(null);
      setProblem(error.message);
    });
  }
  useEffect(() => {
    find((one) => one.running && one.replayedFrom === sessionId).then(setReplay, () => {}); // also another's, to stop it
  }, [sessionId]);
  useEffect(() => {
    if (!replay?.running) return;
    const timer = setTimeout(() => attempt(() => find(({ id }) => id === replay.id)), EVERY_MS);
    return () => clearTimeout(timer);
  }, [replay]);
  return html`<div class="buttons">
    ${replay?.running
      ? html`<button onClick=${() => attempt(() => send(`/v1/replays/${replay.id}`, undefined, "DELETE"))}>Stop the replay</button>
        <progress max=${replay.signals} value=${replay.emitted} aria-label="Replay"></progress>
        <span>to ${replay.to.join(", ")}. <a href="#/now">See it under Now</a></span>`
      : html`<button onClick=${() => attempt(() => send("/v1/replays", { sessionId }))}>Play this session again</button>
        <span role="status">${replay ? "It was played to its end." : ""}</span>`}
    ${problem && html`<span role="alert" class="bad">${problem}</span>`}
  </div>`;
}
