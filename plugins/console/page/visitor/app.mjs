/** The visitor's page: ask by voice or in writing, and see and hear what the dishes answer. */

import { html, render } from "htm/preact";
import { useEffect, useState } from "preact/hooks";
import { post, request } from "../api.mjs";
import { chooseLanguage, loadTexts } from "../texts.mjs";
import { DishDialog, spoken } from "./dish.mjs";
import { isKiosk, restLater, startKiosk } from "./kiosk.mjs";
import { Login } from "../login.mjs";
import { unlock } from "./playback.mjs";
import { createRecorder } from "./recorder.mjs";
import { Ring } from "./ring.mjs";
import { isOver, stageOf } from "./stage.mjs";
import { TalkButton, Writing } from "./talk.mjs";
import { aSecondLater, canRepeat, troubleOf } from "./trouble.mjs";
import { usePage } from "./use_page.mjs";
import { useSession } from "./use_session.mjs";

/**
 * @typedef {import("./trouble.mjs").Trouble} Trouble
 * @typedef {{text: string, sttSessionId?: string, wav?: Blob}} Question `wav`: it is not understood yet
 */

const SOUND = "rr.sound";
const language = chooseLanguage(location.search, navigator.languages);
const t = await loadTexts(language);
const audio = new Audio();
const recorder = createRecorder();

function Visitor() {
  const [isLoud, setLoud] = useState((localStorage.getItem(SOUND) ?? (isKiosk ? "off" : "on")) === "on");
  const [isRecording, setRecording] = useState(false);
  const [isSending, setSending] = useState(false);
  const [trouble, setTrouble] = useState(/** @type {Trouble | null} */ (null));
  const [unsent, setUnsent] = useState(/** @type {Question | null} */ (null));
  const [opened, setOpened] = useState(0);
  const shown = useSession({ loud: isLoud && !isRecording, cameBack: () => ask(), audio });
  const { session, current, heard, link } = shown;
  const isAnswering = shown.id !== "" && link !== "gone" && !session?.finishedAt;
  const isBusy = isAnswering || isRecording || isSending || current !== null;
  const { page, ask } = usePage(!isBusy);
  const isHeard = session !== null && isOver(session, heard);

  useEffect(() => {
    if (isKiosk && !isBusy && (session || trouble || opened)) return restLater(rest);
  }, [isBusy, session, trouble, opened]);

  useEffect(() => {
    if (!trouble?.seconds) return;
    const timer = setTimeout(() => setTrouble(aSecondLater(trouble)), 1000);
    return () => clearTimeout(timer);
  }, [trouble]);

  function rest() {
    shown.leave();
    setTrouble(null);
    setUnsent(null);
    setOpened(0);
  }

  /** @param {Blob} wav */
  async function hear(wav) {
    setUnsent({ text: "", wav });
    const body = new FormData();
    body.append("file", wav, "recording.wav");
    body.append("language_code", language);
    await attempt("hear", async () => {
      const response = await request("/v1/stt", { method: "POST", body });
      const { transcript, sttSessionId } = await response.json();
      await start({ text: transcript, sttSessionId });
    });
  }

  /** @param {Question} question */
  async function start(question) {
    shown.leave();
    setUnsent(question);
    await attempt("ask", async () => {
      const { text: message, sttSessionId } = question;
      const response = await post("/v1/chat", { message, sttSessionId, sessionStart: true });
      response.body?.cancel(); // the events are read from the session's own stream, which can be read again
      shown.begin(response.headers.get("x-session-id") ?? "", question.text);
      setUnsent(null);
    });
  }

  /** @param {"hear" | "ask"} doing @param {() => Promise<void>} work */
  async function attempt(doing, work) {
    setTrouble(null);
    setSending(true);
    try {
      await work();
    } catch (error) {
      const failure = troubleOf(error, doing);
      setTrouble(failure);
      if (!canRepeat(failure)) setUnsent(null);
      ask();
    } finally {
      setSending(false);
    }
  }

  function switchSound() {
    localStorage.setItem(SOUND, isLoud ? "off" : "on");
    unlock(audio);
    setLoud(!isLoud);
  }

  const problem = link === "gone" && !session?.finishedAt && shown.id ? { key: "sessionLost", seconds: 0 } : trouble;
  const again = unsent ?? (problem?.key === "sessionLost" ? { text: shown.question } : null);
  const slot = page.slots.find((one) => one.slotId === opened);
  const canTalk = page.hears && problem?.key !== "insecure" && problem?.key !== "hearingOff";
  const state = current ? t("answering") : isAnswering ? t("thinkingAll") : t("ended");
  return html`<main onPointerDown=${() => isLoud && unlock(audio)}>
    <header>
      <h1>${t("title")}</h1>
      <button class="quiet" role="switch" aria-checked=${isLoud} onClick=${switchSound}>${t("sound")}
        <span aria-hidden="true">${t(isLoud ? "on" : "off")}</span></button>
      ${!isKiosk && html`<a href="/console">${t("console")}</a>`}
    </header>
    ${page.access === "closed" ? html`<${Login} t=${t} wrongToken="wrongToken" onDone=${ask} />` : html`
    <${Ring} t=${t} slots=${page.slots} shown=${shown} onOpen=${setOpened}>
      ${isAnswering || !canTalk
        ? html`<p class="state">${shown.id ? state : ""}</p>`
        : html`<${TalkButton} t=${t} recorder=${recorder} isSending=${isSending} isQuiet=${session !== null}
            onRecording=${setRecording} onRecorded=${hear} onTrouble=${setTrouble} />`}
    <//>
    <section class="below">
      ${(unsent?.text || shown.question) && html`<p class="question">${t("youSaid")} <q>${unsent?.text || shown.question}</q></p>`}
      ${shown.id && html`<div class="hearing">${current && html`<p key=${current.key} class=${`caption ${current.slotId ? "" : "all"}`}>
        <span class="name">${nameOf(current.slotId)}</span> <span class="does">${spoken(t, page.slots, current)}</span>
        <span class="text">${current.text}</span></p>`}
        ${isHeard && html`<button class="quiet" onClick=${rest}>${t("finish")}</button>`}</div>`}
      ${link === "lost" && html`<p class="notice" role="status">${t("connectionLost")}</p>`}
      ${page.access === "away" && link !== "lost" && !problem && html`<p class="notice" role="status">${t("trouble.away")}</p>`}
      ${problem && html`<p class="notice" role="alert">${t(`trouble.${problem.key}`)}
        ${problem.seconds > 0 && html` <span role="timer">${t("wait", { seconds: problem.seconds })}</span>`}</p>`}
      ${problem && again && !isSending && html`<button disabled=${problem.seconds > 0}
        onClick=${() => (again.wav ? hear(again.wav) : start(again))}>${t("tryAgain")}</button>`}
      ${!session && !problem && !unsent && html`<p class="hint">${t(canTalk ? "hint" : "hintWrite")}</p>`}
      ${!isAnswering && html`<${Writing} t=${t} isSending=${isSending} onWritten=${(/** @type {string} */ text) => start({ text })} />`}
    </section>`}
    <p class="visually-hidden" aria-live="polite">${current
      ? `${nameOf(current.slotId)}, ${spoken(t, page.slots, current)}: ${current.text}`
      : shown.id ? state : ""}</p>
    ${slot && html`<${DishDialog} key=${opened} t=${t} slot=${slot} slots=${page.slots}
      stage=${stageOf(session, current, heard, opened)} onClose=${() => setOpened(0)} />`}
  </main>`;

  /** @param {number} slotId */
  function nameOf(slotId) {
    return page.slots.find((one) => one.slotId === slotId)?.name ?? t("allDishes");
  }
}

document.documentElement.lang = language;
if (isKiosk) startKiosk();
render(html`<${Visitor} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
