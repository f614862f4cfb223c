/** The button that is held to talk, and the field to write instead. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { LONGEST_S, SHORTEST_S } from "./recorder.mjs";
import { trouble, troubleOf } from "./trouble.mjs";

/** @typedef {import("../texts.mjs").Translate} Translate @typedef {import("./trouble.mjs").Trouble} Trouble */

const LONGEST_TEXT = 2000;

/**
 * @param {{t: Translate, recorder: import("./recorder.mjs").Recorder, isSending: boolean, isQuiet: boolean,
 *   onRecording: (isOn: boolean) => void, onRecorded: (wav: Blob) => void, onTrouble: (trouble: Trouble) => void}} props
 *   `isQuiet`: there is still something to hear
 */
export function TalkButton({ t, recorder, isSending, isQuiet, onRecording, onRecorded, onTrouble }) {
  const [heard, setHeard] = useState({ level: 0, durationS: 0 });
  const [phase, setPhase] = useState(/** @type {"idle" | "opening" | "recording"} */ ("idle"));
  const now = useRef({ phase, isHeld: false, by: "" });
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));

  /** @param {typeof phase} next */
  function enter(next) {
    now.current.phase = next;
    setPhase(next);
    onRecording(next !== "idle");
  }

  /** @param {string} by the pointer or the key that holds it */
  async function hold(by) {
    if (now.current.phase !== "idle" || isSending) return;
    now.current = { phase: "opening", isHeld: true, by };
    enter("opening");
    try {
      await recorder.open();
    } catch (error) {
      enter("idle");
      return onTrouble(troubleOf(error, "hear"));
    }
    if (!now.current.isHeld) {
      enter("idle");
      return onTrouble(trouble("nowHold")); // it was let go for the browser's question
    }
    setHeard({ level: 0, durationS: 0 });
    enter("recording");
    recorder.start({
      heard(level, durationS) {
        setHeard({ level, durationS });
        if (durationS >= LONGEST_S) release(now.current.by);
      },
      lost() {
        enter("idle");
        onTrouble(trouble("noMicrophone"));
      },
    });
  }

  /** @param {string} by */
  function release(by) {
    if (by !== now.current.by) return;
    now.current.isHeld = false;
    if (now.current.phase !== "recording") return;
    const { wav, durationS } = recorder.stop();
    enter("idle");
    if (durationS < SHORTEST_S) onTrouble(trouble("tooShort"));
    else onRecorded(wav);
  }

  useEffect(() => {
    const isOurs = (/** @type {KeyboardEvent} */ { code, target }) => target === button.current
      ? code === "Space" || code === "Enter"
      : code === "Space" && (target === document.body || target === document.documentElement);
    const onKey = (/** @type {KeyboardEvent} */ event) => {
      if (!isOurs(event)) return;
      event.preventDefault();
      if (event.type === "keyup") release(event.code);
      else if (!event.repeat) hold(event.code);
    };
    const onLeave = () => release(now.current.by); // no key is seen any more
    document.addEventListener("keydown", onKey);
    document.addEventListener("keyup", onKey);
    document.addEventListener("visibilitychange", onLeave);
    window.addEventListener("blur", onLeave);
    return () => {
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("keyup", onKey);
      document.removeEventListener("visibilitychange", onLeave);
      window.removeEventListener("blur", onLeave);
    };
  });

  /** @param {PointerEvent} event */
  function onPointerDown(event) {
    if (event.button !== 0) return;
    button.current?.setPointerCapture(event.pointerId);
    hold(String(event.pointerId));
  }

  const isRecording = phase === "recording";
  const label = isSending ? t("listening") : isRecording ? t("speakNow") : phase === "opening" ? t("opening") : t(isQuiet ? "holdAgain" : "hold");
  return html`<button ref=${button} class=${`talk ${phase} ${isQuiet && phase === "idle" ? "calm" : ""}`} disabled=${isSending}
      style=${{ "--level": isRecording ? heard.level : 0, "--part": isRecording ? heard.durationS / LONGEST_S : 0 }}
      onPointerDown=${onPointerDown}
      onPointerUp=${(/** @type {PointerEvent} */ event) => release(String(event.pointerId))}
      onPointerCancel=${(/** @type {PointerEvent} */ event) => release(String(event.pointerId))}
      onClick=${(/** @type {MouseEvent} */ event) => {
        if (event.detail === 0) isRecording ? release("click") : hold("click"); // of a screen reader
      }}
      onContextMenu=${(/** @type {Event} */ event) => event.preventDefault()}>
    <span class="label">${label}</span>
    ${isRecording && html`<span class="time" aria-hidden="true">${t("seconds", { seconds: heard.durationS.toFixed(1) })}</span>`}
  </button>`;
}

/** @param {{t: Translate, isSending: boolean, onWritten: (text: string) => void}} props */
export function Writing({ t, isSending, onWritten }) {
  const [text, setText] = useState("");
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    if (text.trim() && !isSending) {
      onWritten(text.trim());
      setText("");
    }
  }
  return html`<form class="writing" onSubmit=${submit}>
    <textarea rows="1" maxlength=${LONGEST_TEXT} aria-label=${t("write")} placeholder=${t("write")} value=${text}
      onInput=${(/** @type {any} */ event) => setText(event.target.value)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
      }}></textarea>
    <button class="main" disabled=${isSending || !text.trim()}>${t("send")}</button>
  </form>`;
}
