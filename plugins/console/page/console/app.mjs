/** The artist's page: its views, and which of them the address names. */

import { html, render } from "htm/preact";

render(html`<main><h1>Console</h1></main>`, /** @type {HTMLElement} */ (document.getElementById("app")));
