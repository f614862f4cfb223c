/** One dish: who is in it, what it does, what it says, its water; and all that it has said. */

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { fill } from "./water.mjs";

/**
 * @typedef {import("../texts.mjs").Translate} Translate
 * @typedef {import("./use_page.mjs").Slot} Slot
 * @typedef {import("./stage.mjs").Stage} Stage
 */

/**
 * @param {{t: Translate, slotId: number, slots: Slot[], place: {x: number, y: number}, stage: Stage,
 *   shown: ReturnType<typeof import("./use_session.mjs").useSession>, onOpen: (slotId: number) => void}} props
 */
export function Dish({ t, slotId, slots, place, stage, shown, onOpen }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const slot = slots.find((one) => one.slotId === slotId);
  const { phase, utterance } = stage;
  const key = phase === "speaking" ? shown.current?.key ?? "" : "";
  const { envelopes, elapsedS } = shown;
  useEffect(() => {
    if (!canvas.current || !slot) return;
    /** @type {import("./water.mjs").Motion} */
    const motion = {
      kind: phase === "failed" ? "still" : phase, envelope: () => envelopes.of(key), surface: () => envelopes.surfaceOf(key),
      elapsedS: () => elapsedS(key),
    };
    return fill(canvas.current, { phase: (slotId * 0.37) % 1, motion });
  }, [slot !== undefined, phase, key, envelopes]);

  const style = { "--x": place.x.toFixed(4), "--y": place.y.toFixed(4), "--color": slot?.color ?? "transparent" };
  if (!slot) return html`<li class="seat empty" style=${style} aria-hidden="true"><span class="dish"></span></li>`;
  const does = phase === "rest" ? "" : phase === "speaking" ? spoken(t, slots, shown.current) : t(phase);
  const side = place.x > 0.1 || slotId === 1 ? "right" : "left";
  return html`<li class=${`seat ${phase} ${side}`} style=${style}>
    <button class="dish" onClick=${() => onOpen(slotId)}
      aria-label=${t("dishLabel", { number: slotId, name: slot.name, does })}><canvas ref=${canvas}></canvas></button>
    <p class="who" aria-hidden="true"><span class="name">${slot.name}</span> <span class="does">${does}</span></p>
    <p class="words">${utterance?.text ?? ""}</p>
  </li>`;
}

/** What an utterance is: an answer, or a comment on whom. @param {Translate} t @param {Slot[]} slots @param {import("../session.mjs").Utterance | null} utterance */
export function spoken(t, slots, utterance) {
  if (!utterance) return "";
  const name = slots.find((one) => one.slotId === utterance.targetSlotId)?.name ?? "";
  return t(`kind.${utterance.kind}`, { name });
}

/**
 * All that a dish has said in this session, as a dialog.
 * @param {{t: Translate, slot: Slot, slots: Slot[], stage: Stage, onClose: () => void}} props
 */
export function DishDialog({ t, slot, slots, stage, onClose }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => dialog.current?.showModal(), []);
  return html`<dialog ref=${dialog} class="said" aria-labelledby="said-name" onClose=${onClose}
      onClick=${(/** @type {Event} */ event) => event.target === dialog.current && dialog.current?.close()}>
    <h2 id="said-name" style=${{ "--color": slot.color }}>${slot.name}</h2>
    ${stage.said.length === 0 && html`<p class="muted">${t("saidNothing")}</p>`}
    ${stage.said.map((one) => html`<section key=${one.key}>
      <h3>${spoken(t, slots, one)}</h3><p>${one.text}</p>
      ${one.phase === "failed" && html`<p class="muted">${t("notSpoken")}</p>`}
    </section>`)}
    <form method="dialog"><button>${t("close")}</button></form>
  </dialog>`;
}
