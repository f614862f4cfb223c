/** Which utterance is heard at this moment: one after the other, aloud or by the clock. */

import { audioUrl } from "../api.mjs";
import { inOrder } from "../session.mjs";
import { encodeWav } from "./wav.mjs";

/** @typedef {import("../session.mjs").Session} Session @typedef {import("../session.mjs").Utterance} Utterance */

const PAUSE_MS = 500;
const STALLED_MS = 4000;

/**
 * Return the utterance to be heard next; one that comes late is heard before those of later turns.
 * @param {Session} session
 * @param {Set<string>} heard keys
 * @returns {Utterance | null}
 */
export function nextOf(session, heard) {
  return inOrder(session).find((one) => one.phase === "spoken" && !heard.has(one.key)) ?? null;
}

/**
 * @param {object} options
 * @param {(one: Utterance) => Promise<number>} options.durationOf in seconds
 * @param {(current: Utterance | null, heard: Set<string>) => void} options.changed
 * @param {Set<string>} options.heard what was heard before a reload
 * @param {HTMLAudioElement} options.audio
 * @param {boolean} options.loud
 */
export function createPlayback({ durationOf, changed, heard, audio, loud }) {
  /** @type {Session | null} */
  let session = null;
  /** @type {Utterance | null} */
  let current = null;
  let durationS = 0;
  let timer = 0;
  let stopped = false;
  /** @type {Map<string, number>} when each began, by `performance.now` */
  const startedAt = new Map();

  /** @param {Session} latest */
  function offer(latest) {
    session = latest;
    if (!current && !timer) advance();
  }

  async function advance() {
    timer = 0;
    const next = stopped || !session ? null : nextOf(session, heard);
    if (!next) return;
    current = next;
    changed(current, heard);
    durationS = await durationOf(next);
    if (stopped) return;
    startedAt.set(next.key, performance.now());
    if (loud) await speak(0);
    schedule();
  }

  /** @param {number} fromS */
  async function speak(fromS) {
    if (!current) return;
    audio.onended = finish;
    audio.src = audioUrl(current.audioPath);
    audio.currentTime = fromS;
    try {
      await audio.play();
    } catch {
      // without a gesture, or without the file: it goes on by the clock
    }
  }

  function schedule() {
    window.clearTimeout(timer);
    if (!current || stopped) return;
    const leftMs = 1000 * (durationS - (elapsed(current.key) ?? 0)) + (isAloud() ? STALLED_MS : 0);
    timer = window.setTimeout(finish, Math.max(0, leftMs));
  }

  function finish() {
    window.clearTimeout(timer);
    timer = 0;
    if (!current || stopped) return;
    audio.onended = null;
    audio.pause();
    heard.add(current.key);
    current = null;
    timer = window.setTimeout(advance, PAUSE_MS);
    changed(null, heard);
  }

  function isAloud() {
    return loud && !audio.paused && !audio.ended;
  }

  /** Seconds since an utterance began; null if it has not. @param {string} key */
  function elapsed(key) {
    const now = performance.now();
    const began = startedAt.get(key);
    if (began === undefined) return null;
    if (current?.key !== key || !isAloud()) return (now - began) / 1000;
    startedAt.set(key, now - 1000 * audio.currentTime);
    return audio.currentTime;
  }

  return {
    offer,
    elapsed,
    /** @param {boolean} on */
    async setLoud(on) {
      loud = on;
      const fromS = current && elapsed(current.key);
      if (fromS === null) return;
      if (on) await speak(fromS);
      else audio.pause();
      schedule();
    },
    stop() {
      stopped = true;
      window.clearTimeout(timer);
      audio.onended = null;
      audio.pause();
    },
  };
}

/** Let an element sound later without a gesture: it plays silence now, within one. @param {HTMLAudioElement} audio */
export function unlock(audio) {
  if (!audio.paused || audio.src) return;
  const silence = new Blob([encodeWav(new Float32Array(160), 16000)], { type: "audio/wav" });
  audio.src = URL.createObjectURL(silence);
  audio.play().catch(() => {});
}
