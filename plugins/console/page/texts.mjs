/** The texts of the visitor's page, in the language of `?lang=` or of the browser. */

import { get } from "./api.mjs";

const LANGUAGES = ["en", "de"];

/** @typedef {(key: string, values?: Record<string, string | number>) => string} Translate */

/** Return the language to use. @param {string} search @param {readonly string[]} preferred */
export function chooseLanguage(search, preferred) {
  const wanted = [new URLSearchParams(search).get("lang") ?? "", ...preferred].map((one) => one.slice(0, 2).toLowerCase());
  return wanted.find((one) => LANGUAGES.includes(one)) ?? LANGUAGES[0];
}

/** Load the texts of a language; `{name}` in a text is replaced by a value. @param {string} language @returns {Promise<Translate>} */
export async function loadTexts(language) {
  /** @type {Record<string, string>} */
  const texts = await get(`/page/texts/${language}.json`);
  return (key, values = {}) => (texts[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}
