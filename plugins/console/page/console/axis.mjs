/** The marks of an axis. */

import { html } from "htm/preact";
import { ticksOf } from "./scale.mjs";

/** @param {{seconds: number}} props */
export function TimeAxis({ seconds }) {
  return html`<div class="axis" aria-hidden="true">
    ${ticksOf(seconds).map((tick) => html`<span style=${{ left: `${(100 * tick) / seconds}%` }}>${tick} s</span>`)}
  </div>`;
}

/** @param {{hertz: number}} props */
export function FrequencyAxis({ hertz }) {
  const [unit, divisor] = hertz < 1000 ? ["Hz", 1] : ["kHz", 1000];
  return html`<div class="axis upright" aria-hidden="true">
    ${ticksOf(hertz).map((tick) => html`
      <span style=${{ bottom: `${(100 * tick) / hertz}%` }}>${tick / divisor} ${unit}</span>`)}
  </div>`;
}
