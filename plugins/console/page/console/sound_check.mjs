/** The sound check: test signals on each channel of the sound card, at levels that the person raises. */

import { html } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { get, send } from "../api.mjs";
import { chooseLanguage, loadTexts } from "../texts.mjs";

const PATH = "/v1/playback/soundcheck";
const SIGNALS = /** @type {Record<string, string>} */ ({ number: "check.number", buzz: "check.buzz", sweep: "check.sweep" });
const LANGUAGE = chooseLanguage(location.search, navigator.languages);
const QUIET_DB = -40, LOWEST_DB = -80, STEP_DB = 3;

/** @typedef {{channel: number, signal: string, levelDb: number, name: string, durationS: number}} Check */

export function SoundCheck() {
  const [texts, setTexts] = useState(/** @type {{t: import("../texts.mjs").Translate} | null} */ (null));
  const [channels, setChannels] = useState(/** @type {{name: string, cap: number}[]} */ ([]));
  const [levels, setLevels] = useState(/** @type {Record<number, number>} */ ({}));
  const [latest, setLatest] = useState(/** @type {Check | null} */ (null));
  const [problem, setProblem] = useState("");
  useEffect(() => {
    loadTexts(LANGUAGE).then((t) => setTexts({ t }));
    get("/v1/playback").then((state) => setChannels(state.channels), (error) => setProblem(error.message));
    return () => void stop();
  }, []);
  useEffect(() => {
    if (!latest) return;
    const timer = setTimeout(() => setLatest(null), 1000 * latest.durationS);
    return () => clearTimeout(timer);
  }, [latest]);
  if (!texts) return null;
  const { t } = texts;

  /** @param {number} channel @param {string} signal @param {number} levelDb */
  async function play(channel, signal, levelDb) {
    await send(PATH, { channel, signal, levelDb }).then((/** @type {Check} */ check) => {
      setLevels((before) => ({ ...before, [channel]: check.levelDb }));
      setLatest(check);
      setProblem("");
    }, (error) => setProblem(error.message));
  }
  async function stop() {
    setLatest(null);
    await send(PATH, undefined, "DELETE").catch((error) => setProblem(error.message));
  }
  /** @param {number} channel @param {number} levelDb */
  function change(channel, levelDb) {
    setLevels({ ...levels, [channel]: levelDb });
    if (latest?.channel === channel) void play(channel, latest.signal, levelDb);
  }

  return html`<div lang=${LANGUAGE}>
    <p class="muted">${t(channels.length ? "check.quiet" : "check.none")}</p>
    ${problem && html`<p role="alert" class="bad">${problem}</p>`}
    <div>${channels.map(({ name, cap }, index) => {
      const channel = index + 1, capDb = Math.floor(20 * Math.log10(cap) * 10 + 1e-6) / 10;
      const levelDb = Math.min(levels[channel] ?? QUIET_DB, capDb);
      return html`<p key=${channel} role="group" aria-label=${name}><b>${name}</b>
        ${Object.entries(SIGNALS).map(([signal, key]) => html` <button onClick=${() => play(channel, signal, levelDb)}>${t(key)}</button>`)}
        ${" "}<button disabled=${levelDb <= LOWEST_DB} onClick=${() => change(channel, Math.max(levelDb - STEP_DB, LOWEST_DB))}>${t("check.softer")}</button>
        ${" "}<button disabled=${levelDb >= capDb} onClick=${() => change(channel, Math.min(levelDb + STEP_DB, capDb))}>${t("check.louder")}</button>
        ${" "}<output>${t("check.level", { level: levelDb })}</output> <span class="muted">${t("check.cap", { cap: capDb })}</span></p>`;
    })}</div>
    ${channels.length > 0 && html`<p><button class="main" onClick=${stop}>${t("check.stop")}</button>
      <span role="status"> ${latest ? t("check.plays", { ...latest, signal: t(SIGNALS[latest.signal]), level: latest.levelDb }) : t("check.stopped")}</span></p>`}
  </div>`;
}
