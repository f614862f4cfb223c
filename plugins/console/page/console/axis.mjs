/** The marks of an axis. */

import { html } from "htm/preact";
import { ticksOf } from "./scale.mjs";

/** @param {{length: number, unit: string, isUpright?: boolean}} props */
export function Axis({ length, unit, isUpright = false }) {
  const place = (/** @type {number} */ tick) => ({ [isUpright ? "bottom" : "left"]: `${(100 * tick) / length}%` });
  return html`<div class="axis ${isUpright ? "upright" : ""}" aria-hidden="true">
    ${ticksOf(length).map((tick) => html`<span style=${place(tick)}>${tick} ${unit}</span>`)}
  </div>`;
}
