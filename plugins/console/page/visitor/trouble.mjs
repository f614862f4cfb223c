/** What went wrong as the name of a text for visitors. */

import { ApiError } from "../api.mjs";
import { MicrophoneError } from "./recorder.mjs";

/**
 * @typedef {object} Trouble
 * @property {string} key of the texts
 * @property {number} seconds to wait; 0 if nobody knows
 */

/**
 * Return the trouble that an error means.
 * @param {unknown} error
 * @param {"hear" | "ask"} doing
 * @returns {Trouble}
 */
export function troubleOf(error, doing) {
  if (error instanceof MicrophoneError) return trouble(error.message);
  if (!(error instanceof ApiError)) return trouble("unexpected");
  const { status, retryAfterS } = error;
  if (status === 0) return trouble("away");
  if (status === 401 || status === 403) return trouble("token");
  if (status === 422) return trouble(doing === "hear" ? "notUnderstood" : "notAccepted");
  if (status === 429) return { key: "often", seconds: retryAfterS || 5 };
  if (status === 503 && doing === "hear" && !retryAfterS) return trouble("hearingOff");
  if (status === 503) return { key: "busy", seconds: retryAfterS || 10 };
  return trouble(doing === "hear" ? "hearingFailed" : "unexpected");
}

/** What a wait is a second later; in the end it can be tried again. @param {Trouble} before @returns {Trouble} */
export function aSecondLater({ key, seconds }) {
  return seconds > 1 ? { key, seconds: seconds - 1 } : trouble("over");
}

/** Whether the same recording or question may be sent again. @param {Trouble} problem */
export function canRepeat({ key }) {
  return key !== "notUnderstood" && key !== "notAccepted";
}

/** @param {string} key @returns {Trouble} */
export function trouble(key) {
  return { key, seconds: 0 };
}
