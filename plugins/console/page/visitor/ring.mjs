/** The six dishes as they stand in the room, and a line from each comment to whom it is about. */

import { html } from "htm/preact";
import { Dish } from "./dish.mjs";
import { commentsOf, stageOf } from "./stage.mjs";

const SEATS = [1, 2, 3, 4, 5, 6];
const DISTANCE = 38; // of a dish from the middle, in hundredths of the ring's width

/** Where a dish stands, the first one at the top; 1 is the distance to the middle. @param {number} slotId */
function placeOf(slotId) {
  const angle = ((slotId - 1) / SEATS.length - 0.25) * 2 * Math.PI;
  return { x: Math.cos(angle), y: Math.sin(angle) };
}

/** A line from dish to dish that bends around the middle. @param {number} from @param {number} to */
function lineBetween(from, to) {
  const [a, b] = [placeOf(from), placeOf(to)];
  const [x, y] = [(a.x + b.x) / 2, (a.y + b.y) / 2];
  const isOpposite = Math.hypot(x, y) < 0.1;
  const bend = isOpposite ? { x: -a.y * 0.9, y: a.x * 0.9 } : { x: x * 0.85, y: y * 0.85 };
  const at = (/** @type {{x: number, y: number}} */ point) => `${(point.x * DISTANCE).toFixed(2)} ${(point.y * DISTANCE).toFixed(2)}`;
  return `M ${at(a)} Q ${at(bend)} ${at(b)}`;
}

/**
 * @param {{t: import("../texts.mjs").Translate, slots: import("./use_page.mjs").Slot[], onOpen: (slotId: number) => void,
 *   shown: ReturnType<typeof import("./use_session.mjs").useSession>, children: any}} props `children`: in the middle
 */
export function Ring({ t, slots, shown, onOpen, children }) {
  const { session, current, heard } = shown;
  const colorOf = (/** @type {number} */ slotId) => slots.find((slot) => slot.slotId === slotId)?.color ?? "";
  return html`<section class="ring" aria-label=${t("dishes")}>
    <svg class="lines" viewBox="-50 -50 100 100" preserveAspectRatio="none" aria-hidden="true">
      ${commentsOf(session, current, heard).map((one) => html`<path key=${one.key}
        class=${one === current ? "now" : ""} style=${{ "--color": colorOf(one.slotId) }}
        pathLength="1" d=${lineBetween(one.slotId, one.targetSlotId ?? one.slotId)} />`)}
    </svg>
    <ol>${SEATS.map((slotId) => html`<${Dish} key=${slotId} t=${t} slotId=${slotId} slots=${slots} place=${placeOf(slotId)}
      stage=${stageOf(session, current, heard, slotId)} shown=${shown} onOpen=${onOpen} />`)}</ol>
    <div class="centre">${children}</div>
  </section>`;
}
