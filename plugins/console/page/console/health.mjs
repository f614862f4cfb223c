/** Health. */

import { html } from "htm/preact";

export function HealthView() {
  return html`<h1>Health</h1>`;
}
