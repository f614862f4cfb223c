/** Slots and agents. */

import { html } from "htm/preact";

export function SlotsView() {
  return html`<h1>Slots and agents</h1>`;
}
