/** How the artist's page writes numbers and times. */

/** @param {number} value milliseconds */
export function duration(value) {
  return value < 10_000 ? `${Math.round(value).toLocaleString("en")} ms` : `${(value / 1000).toFixed(1)} s`;
}

/** @param {number | string} at */
export function clock(at) {
  return new Date(at).toLocaleTimeString("en-GB");
}

/** @param {number | string} at */
export function day(at) {
  return new Date(at).toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
}

/** The part of the sessions' ids that a day has, by this machine's clock. @param {string} date such as 2026-11-29 */
export function idsOfDay(date) {
  const [year, month, dayOfMonth] = date.split("-").map(Number);
  const idAt = (/** @type {number} */ dayOfIt) =>
    new Date(year, month - 1, dayOfIt).toISOString().replace(/[-:]|\.\d+/g, "");
  return { since: idAt(dayOfMonth), before: idAt(dayOfMonth + 1) };
}

/** @param {{turnIndex: number, kind: string}} utterance one of the turn */
export function turnName({ turnIndex, kind }) {
  return `Turn ${turnIndex}: ${kind === "summary" ? kind : plural(2, kind).slice(2)}`;
}

/** @param {number} count @param {string} noun */
export function plural(count, noun) {
  return `${count} ${count === 1 ? noun : noun === "reply" ? "replies" : `${noun}s`}`;
}
