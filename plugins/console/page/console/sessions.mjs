/** The sessions that are kept, newest first: page by page, by day, searched by words. */

import { html } from "htm/preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { get } from "../api.mjs";
import { clock, day, idsOfDay, plural } from "./format.mjs";
import { isRunning, newestFirst } from "./room.mjs";

const PAGE = 50;
const TYPING_MS = 300;
let kept = { day: "", q: "" }; // while other views are shown

/** @typedef {{[name: string]: any, sessionId: string, startedAt: string}} Row as the server tells it */

/** @param {{room: import("./room.mjs").Room}} props */
export function SessionsView({ room }) {
  const [filter, setFilter] = useState(kept);
  const [rows, setRows] = useState(/** @type {Row[]} */ ([]));
  const [next, setNext] = useState(/** @type {string | null} */ (null));
  const [isLoading, setIsLoading] = useState(true);
  const [problem, setProblem] = useState("");
  const asked = useRef(0);
  const latest = newestFirst(room).find((one) => !isRunning(one))?.id;

  /** @param {Row[]} before what is shown already, and stays */
  async function load(before) {
    const mine = ++asked.current;
    setIsLoading(true);
    const query = new URLSearchParams({ limit: String(PAGE) });
    const wanted = { q: filter.q, ...(filter.day && idsOfDay(filter.day)) };
    if (before.length) wanted.before = before[before.length - 1].sessionId;
    for (const [name, value] of Object.entries(wanted)) if (value) query.set(name, value);
    try {
      const page = await get(`/v1/sessions?${query}`);
      if (mine !== asked.current) return;
      setRows([...before, ...page.sessions]);
      setNext(page.next);
      setProblem("");
    } catch (error) {
      if (mine === asked.current) setProblem(/** @type {Error} */ (error).message);
    }
    if (mine === asked.current) setIsLoading(false);
  }

  useEffect(() => {
    if (filter === kept && rows.length > PAGE) return; // a session is over, but older ones are looked at
    kept = filter;
    const timer = setTimeout(() => load([]), rows.length ? TYPING_MS : 0);
    return () => clearTimeout(timer);
  }, [filter, latest]);

  const change = (/** @type {any} */ { currentTarget: { name, value } }) => setFilter({ ...filter, [name]: value });
  const found = `${plural(rows.length, "session")}${next ? ", and there are older ones" : ""}`;
  const days = [...new Set(rows.map((row) => day(row.startedAt)))];
  return html`
    <h1>Sessions</h1>
    <form class="filter" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      <label>Words <input type="search" name="q" value=${filter.q} onInput=${change} /></label>
      <label>Day <input type="date" name="day" value=${filter.day} onInput=${change} /></label>
    </form>
    <p role="status" class=${problem ? "bad" : "muted"}>${isLoading ? "Loading …" : problem || found}
      ${problem && html` <button onClick=${() => load([])}>Try again</button>`}</p>
    ${days.map((one) => html`<section key=${one}>
      <h2>${one}</h2>
      ${rows.map((row) => day(row.startedAt) === one && html`<${Session} key=${row.sessionId} ...${row} />`)}
    </section>`)}
    ${next && html`<button onClick=${() => load(rows)} disabled=${isLoading}>Older sessions</button>`}`;
}

/** @param {Row} row */
function Session({ sessionId, startedAt, status, spoken, slots, utterances, withWaves, excerpt }) {
  return html`<a class="row" href="#/sessions/${sessionId}">
    <b>${clock(startedAt)}</b>
    <span>${excerpt || "No text is kept."}</span>
    <span class="muted">${status !== "finished" && html`<b class="warn">${status}</b>, `}
      ${spoken ? "spoken" : "typed"}, ${plural(slots.length, "slot")}, ${plural(utterances, "utterance")},
      ${" "}${withWaves === utterances ? "all" : withWaves} with waves</span>
  </a>`;
}
