/** The emergency stop of playback: a button and Shift+Escape, in every view. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { get, send } from "../api.mjs";
import { chooseLanguage, loadTexts } from "../texts.mjs";

const EVERY_MS = 2000;
const LANGUAGE = chooseLanguage(location.search, navigator.languages);

/** @param {{isOn: boolean}} props whether the plugin runs */
export function EmergencyStop({ isOn }) {
  const [stopped, setStopped] = useState(/** @type {boolean | null} */ (null));
  const [texts, setTexts] = useState(/** @type {{t: import("../texts.mjs").Translate} | null} */ (null));
  /** @param {Promise<any>} answer */
  const show = (answer) => answer.then((state) => setStopped(state.stopped), () => setStopped(null));
  useEffect(() => {
    if (!isOn) return;
    const ask = () => show(get("/v1/playback"));
    /** @param {KeyboardEvent} event */
    const onKey = (event) => void (event.shiftKey && event.key === "Escape" && show(send("/v1/playback/stop")));
    ask();
    loadTexts(LANGUAGE).then((t) => setTexts({ t }));
    addEventListener("keydown", onKey, true);
    const timer = setInterval(ask, EVERY_MS);
    return () => {
      clearInterval(timer);
      removeEventListener("keydown", onKey, true);
    };
  }, [isOn]);
  if (!isOn || !texts) return null;
  const { t } = texts;
  // the same button stays, so that a double click or a held key never releases
  return html`<p class="emergency" lang=${LANGUAGE}>
    <button class="stop" onClick=${() => show(send("/v1/playback/stop"))}>${t("playback.stop")}</button>
    <span role="status" class="bad">${stopped ? t("playback.stopped") : stopped === null ? t("playback.unknown") : ""}</span>
    ${stopped && html`<button onClick=${() => show(send("/v1/playback/release"))}>${t("playback.release")}</button>`}</p>`;
}
