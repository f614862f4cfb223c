/** The visitor's page. */

import { html, render } from "htm/preact";

import { chooseLanguage, loadTexts } from "../texts.mjs";

const language = chooseLanguage(location.search, navigator.languages);
const t = await loadTexts(language);
document.documentElement.lang = language;
render(html`<main><h1>${t("title")}</h1></main>`, /** @type {HTMLElement} */ (document.getElementById("app")));
