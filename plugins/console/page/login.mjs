/** The form that asks for the token of this installation. */

import { html } from "htm/preact";
import { useState } from "preact/hooks";
import { ApiError, send } from "./api.mjs";

/** @param {{t: import("./texts.mjs").Translate, wrongToken: string, onDone: () => void}} props `wrongToken`: key of the text that says so */
export function Login({ t, wrongToken, onDone }) {
  const [token, setToken] = useState("");
  const [wrong, setWrong] = useState("");
  /** @param {Event} event */
  async function submit(event) {
    event.preventDefault();
    try {
      await send("/v1/login", { token });
      onDone();
    } catch (error) {
      const { status, retryAfterS } = error instanceof ApiError ? error : { status: 0, retryAfterS: 0 };
      const key = status === 0 ? "trouble.away" : status === 429 ? "trouble.often" : wrongToken;
      setWrong(status === 429 ? `${t(key)} ${t("wait", { seconds: retryAfterS || 5 })}` : t(key));
    }
  }
  return html`<form class="login" onSubmit=${submit}>
    <label>${t("token")} <input type="password" autocomplete="current-password" required value=${token}
      onInput=${(/** @type {any} */ event) => setToken(event.target.value)} /></label>
    <button class="main">${t("enter")}</button>
    <p role="alert">${wrong}</p>
  </form>`;
}
