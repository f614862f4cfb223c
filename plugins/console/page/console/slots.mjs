/** Who is in which dish, the agents and their voices, and what each slot remembers. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get, post, send } from "../api.mjs";
import { exchanged, oneAfterAnother } from "./exchange.mjs";
import { clock, day } from "./format.mjs";

/**
 * @typedef {import("./exchange.mjs").Choice} Choice
 * @typedef {{id: string, name: string, provider: string, description: string, color: string, state: string,
 *   failingSince: string | null, reason: string | null, answeredBy: string | null}} Agent
 */

const REMEDIES = /** @type {Record<string, string>} */ ({
  "no key": "It rehearses. Write the key of its provider into .env, and start the server again.",
  failing: "Another model answers for it, or the rehearsal. Press Doctor under Health.",
});
const SENTENCE = "Good evening. The water is listening.";

export function SlotsView() {
  const [slots, setSlots] = useState(/** @type {Choice[]} */ ([]));
  const [agents, setAgents] = useState(/** @type {Agent[]} */ ([]));
  const [told, setTold] = useState("");
  const [problem, setProblem] = useState("");
  const saved = useRef(slots);
  const save = useRef(oneAfterAnother(async (/** @type {{wanted: Choice[], words: string}} */ { wanted, words }, isLast) => {
    const body = { slots: wanted.map(({ slotId, agentId }) => ({ slotId, agentId })) };
    const answer = await attempt(() => send("/v1/slots", body, "PUT"));
    if (answer) saved.current = answer.slots;
    if (!isLast()) return;
    setSlots(saved.current);
    setTold(answer ? words : "Not saved; it is as before.");
  }));

  /** @template T @param {() => Promise<T>} action */
  async function attempt(action) {
    try {
      setProblem("");
      return await action();
    } catch (error) {
      setProblem(/** @type {Error} */ (error).message);
    }
  }
  useEffect(() => {
    void attempt(async () => {
      setAgents((await get("/v1/agents")).agents);
      setSlots((saved.current = (await get("/v1/slots")).slots));
    });
  }, []);

  /** @param {Choice[]} wanted @param {string} words */
  function arrange(wanted, words) {
    setSlots(wanted);
    void save.current({ wanted, words });
  }
  const nameOf = (/** @type {string} */ id) => agents.find((one) => one.id === id)?.name ?? id;

  return html`<h1>Slots and agents</h1><h2 class="visually-hidden">Dishes</h2>
    ${problem && html`<p role="alert" class="bad">${problem}</p>`}
    <p class="muted">The next visitor meets them as they stand here. Drag one onto another to exchange them, or choose.</p>
    <ul class="dishes">${slots.map((one) => html`<${Dish} key=${one.slotId} slot=${one} slots=${slots} agents=${agents}
      onChoose=${(/** @type {string} */ agentId) => arrange(
        slots.map((other) => (other.slotId === one.slotId ? { ...other, agentId } : other)), `Slot ${one.slotId}: ${nameOf(agentId)}.`)}
      onExchange=${(/** @type {number} */ from) => arrange(
        exchanged(slots, from, one.slotId), `Slots ${from} and ${one.slotId} are exchanged.`)} />`)}</ul>
    <p role="status">${told}</p>
    <${Reset} onProblem=${setProblem} onDone=${setTold} />
    <h2>Agents</h2>
    <ul class="agents">${agents.map((one) => html`<${AgentState} key=${one.id} agent=${one} />`)}</ul>
    <${Voices} attempt=${attempt} />`;
}

/**
 * @param {{slot: Choice, slots: Choice[], agents: Agent[], onChoose: (agentId: string) => void,
 *   onExchange: (from: number) => void}} props
 */
function Dish({ slot, slots, agents, onChoose, onExchange }) {
  const [memory, setMemory] = useState(/** @type {{role: string, text: string}[] | string | null} */ (null));
  const [isOver, setOver] = useState(false);
  const { slotId, agentId } = slot;
  const agent = agents.find((one) => one.id === agentId);
  const place = slots.findIndex((one) => one.slotId === slotId);
  const beside = { before: slots[place - 1]?.slotId, after: slots[place + 1]?.slotId };
  async function remember() {
    setMemory(await get(`/v1/slots/${slotId}/memory`).then(({ messages }) => messages, (error) => error.message));
  }
  return html`<li class="card dish ${isOver ? "over" : ""}" draggable="true" style=${{ "--color": agent?.color ?? "currentColor" }}
      onDragStart=${(/** @type {DragEvent} */ event) => event.dataTransfer?.setData("text/plain", String(slotId))}
      onDragOver=${(/** @type {DragEvent} */ event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave=${() => setOver(false)}
      onDrop=${(/** @type {DragEvent} */ event) => {
        event.preventDefault();
        setOver(false);
        const from = Number(event.dataTransfer?.getData("text/plain"));
        if (slots.some((one) => one.slotId === from) && from !== slotId) onExchange(from);
      }}>
    <h3><span class="slot">${slotId}</span> ${agent?.name ?? agentId}</h3>
    <label>Agent of slot ${slotId}
      <select value=${agentId} onChange=${(/** @type {any} */ event) => onChoose(event.target.value)}>
        ${agents.map((one) => html`<option value=${one.id} selected=${one.id === agentId}>${one.name}</option>`)}
      </select></label>
    <div class="buttons">
      ${beside.before !== undefined && html`<button aria-label="Exchange slot ${slotId} with slot ${beside.before}"
        onClick=${() => onExchange(/** @type {number} */ (beside.before))}>←</button>`}
      ${beside.after !== undefined && html`<button aria-label="Exchange slot ${slotId} with slot ${beside.after}"
        onClick=${() => onExchange(/** @type {number} */ (beside.after))}>→</button>`}
      <button aria-expanded=${memory !== null} onClick=${() => (memory === null ? remember() : setMemory(null))}>Memory</button>
    </div>
    ${typeof memory === "string" && html`<p class="bad">${memory}</p>`}
    ${Array.isArray(memory) && (memory.length
      ? html`<dl class="memory">${memory.map(({ role, text }) => html`<dt>${role}</dt><dd>${text}</dd>`)}</dl>`
      : html`<p class="muted">It remembers nothing.</p>`)}
  </li>`;
}

/** @param {{agent: Agent}} props */
function AgentState({ agent }) {
  const { name, provider, state, failingSince, reason, answeredBy, description } = agent;
  const since = failingSince && ` since ${clock(failingSince)}, ${day(failingSince)}`;
  return html`<li><h3>${name} <span class="muted">${provider}</span></h3>
    <p class="muted">${description}</p>
    <p><b class=${state === "ready" ? "good" : "warn"}>${state}</b>${since}${reason && `: ${reason}`}. ${REMEDIES[state]}
      ${answeredBy && html` <span class="muted">Last answer by ${answeredBy}.</span>`}</p></li>`;
}

/** @param {{attempt: (action: () => Promise<any>) => Promise<any>}} props */
function Voices({ attempt }) {
  const [voices, setVoices] = useState(/** @type {{profile: string, voice: string, engine: string}[]} */ ([]));
  const [text, setText] = useState(SENTENCE);
  const [trying, setTrying] = useState("");
  const audio = useRef(new Audio());
  useEffect(() => {
    void attempt(async () => setVoices((await get("/v1/voices")).voices));
    return () => audio.current.pause();
  }, []);
  /** @param {string} voiceProfile */
  async function hear(voiceProfile) {
    setTrying(voiceProfile);
    await attempt(async () => {
      const wav = await (await post("/v1/voices/try", { voiceProfile, text })).blob();
      URL.revokeObjectURL(audio.current.src);
      audio.current.src = URL.createObjectURL(wav);
      await audio.current.play();
    });
    setTrying("");
  }
  return html`<h2>Voices</h2>
    <p><label>What is said <input maxlength="200" value=${text} onInput=${(/** @type {any} */ event) => setText(event.target.value)} /></label></p>
    <ul class="agents">${voices.map(({ profile, voice, engine }) => html`<li key=${profile}><h3>${profile.replaceAll("_", " ")}</h3>
      <p><span class="muted">${voice}, ${engine}</span></p>
      <button disabled=${trying !== "" || !text.trim()} onClick=${() => hear(profile)}
        aria-label="Hear the voice ${profile.replaceAll("_", " ")}">${trying === profile ? "…" : "Hear it"}</button></li>`)}</ul>`;
}

/** @param {{onProblem: (words: string) => void, onDone: (words: string) => void}} props */
function Reset({ onProblem, onDone }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  async function reset() {
    dialog.current?.close();
    await send("/v1/reset").then(() => onDone("All slots have forgotten."), (error) => onProblem(error.message));
  }
  return html`<p><button onClick=${() => dialog.current?.showModal()}>Forget all conversations …</button></p>
    <dialog ref=${dialog} aria-labelledby="reset-title">
      <h2 id="reset-title">Forget all conversations?</h2>
      <p>The agents no longer know what was said in earlier sessions. Recordings and records stay.</p>
      <div class="buttons"><button autofocus onClick=${() => dialog.current?.close()}>Keep them</button>
        <button class="main" onClick=${reset}>Forget them</button></div>
    </dialog>`;
}
