/** How the server and its plugins are: states, figures, the log, the settings, and the checks of doctor. */

import { html } from "htm/preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { get, send } from "../api.mjs";
import { Chart } from "./chart.mjs";
import { clock, plural } from "./format.mjs";
import { SoundCheck } from "./sound_check.mjs";

const EVERY_MS = 5000;
const LEVELS = ["debug", "info", "warning", "error"];
const SPANS = [["agentMs", "Agents", "agent"], ["speechMs", "Speech", "speech"], ["wavesMs", "Waves", "waves"]];
const COLOURS = /** @type {Record<string, string>} */ ({ ok: "good", warming: "warn", degraded: "warn", failed: "bad" });

export function HealthView() {
  const settings = usePolled("/v1/settings", 0); // they change with a start alone
  return html`<h1>Health</h1>
    <${Parts} onSwitched=${settings.ask} /><${Figures} /><${Doctor} />
    <${Folded} title="Sound check"><${SoundCheck} /><//>
    <${Folded} title="Log"><${Log} /><//><${Folded} title="Settings"><${SettingsInForce} ...${settings} /><//>`;
}

/** A part that is long: its content is there while it is open. @param {{title: string, children?: any}} props */
function Folded({ title, children }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details class="folded" onToggle=${(/** @type {any} */ event) => setOpen(event.currentTarget.open)}>
    <summary><h2>${title}</h2></summary>${isOpen && children}</details>`;
}

/**
 * What a route answers, asked again every few seconds while the page is visible; with `everyMs` 0 it is asked once.
 * @param {string} path
 * @param {number} [everyMs]
 * @returns {{value: any, problem: string, ask: () => Promise<void>}}
 */
function usePolled(path, everyMs = EVERY_MS) {
  const [told, setTold] = useState({ value: /** @type {any} */ (null), problem: "" });
  const ask = useCallback(async () => {
    try {
      const value = await get(path);
      setTold({ value, problem: "" });
    } catch (error) {
      setTold((before) => ({ ...before, problem: /** @type {Error} */ (error).message }));
    }
  }, [path]);
  useEffect(() => {
    void ask();
    if (!everyMs) return;
    const timer = setInterval(() => document.hidden || ask(), everyMs);
    return () => clearInterval(timer);
  }, [ask]);
  return { ...told, ask };
}

/** @param {{words: string}} props */
function Problem({ words }) {
  return words ? html`<p role="alert" class="bad">${words}</p>` : null;
}

/** @param {{onSwitched: () => void}} props */
function Parts({ onSwitched }) {
  const { value, problem, ask } = usePolled("/v1/health/ready");
  const [refused, setRefused] = useState("");
  const [switching, setSwitching] = useState("");
  /** @param {string} name @param {boolean} enabled */
  async function turn(name, enabled) {
    if (name === "console" && !enabled && !confirm("Switch off these pages? Only a restart or the command line brings them back.")) return;
    setSwitching(name);
    await send(`/v1/plugins/${name}`, { enabled }).then(() => setRefused(""), (error) => setRefused(error.message));
    setSwitching("");
    onSwitched();
    await ask();
  }
  const parts = value ? [["speech", value.speech], ["hearing", value.hearing], ...Object.entries(value.plugins)] : [];
  return html`<h2>Parts</h2><${Problem} words=${problem || refused} />
    <ul class="parts">${parts.map(([name, { state, reason }]) => html`<li key=${name}>
      <span class="switch">${name in value.plugins && html`<input type="checkbox" role="switch" checked=${state !== "disabled"}
        disabled=${switching !== ""} aria-label="Plugin ${name}" onChange=${(/** @type {any} */ event) => turn(name, event.target.checked)} />`}</span>
      <b>${name}</b> <span class=${COLOURS[state] ?? "muted"}>${state}</span>
      ${reason && html`<span class="muted">${reason}</span>`}</li>`)}</ul>`;
}

function Figures() {
  const { value, problem } = usePolled("/v1/figures");
  if (!value) return html`<h2>Figures</h2><${Problem} words=${problem} />`;
  const { now, hour } = value;
  const { gauges, disk } = now;
  const used = Object.entries(disk.usedBytes).map(([tree, bytes]) => `${tree} ${gigabytes(bytes)}`).join(", ");
  const dropped = Object.entries(gauges).filter(([name, count]) => /dropped$/.test(name) && Number(count) > 0);
  const failed = hour.reduce((/** @type {number} */ sum, /** @type {any} */ minute) => sum + minute.failed, 0);
  const rows = [
    ["Sessions that run", now.sessionsRunning],
    ["Workers that are ready", gauges["waves.workers"] ?? "none"],
    ["Utterances that wait for a worker", gauges["waves.queued"] ?? 0],
    ["Failed in the last hour", failed],
    ["Dropped", dropped.map(([name, count]) => `${name.split(".")[0]} ${count}`).join(", ") || "nothing"],
    ["Disk", `${gigabytes(disk.freeBytes)} free of ${gigabytes(disk.totalBytes)}${used && `; ${used}`}`],
  ];
  return html`<h2>Figures</h2><${Problem} words=${problem} />
    <dl class="figures">${rows.map(([title, count]) => html`<div><dt>${title}</dt><dd>${count}</dd></div>`)}</dl>
    <div class="charts">${SPANS.map(([key, title, name]) => html`<${Chart} key=${key} title=${title} name=${name} now=${Date.now()}
      points=${hour.map((/** @type {any} */ minute) => ({ at: minute.at, span: minute[key] }))} />`)}</div>`;
}

/** @param {number} bytes */
function gigabytes(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

function Doctor() {
  const [checks, setChecks] = useState(/** @type {{check: string, ok: boolean, detail: string}[] | null} */ (null));
  const [isRunning, setRunning] = useState(false);
  const [problem, setProblem] = useState("");
  async function run() {
    setRunning(true);
    setProblem("");
    await send("/v1/doctor").then(setChecks, (error) => setProblem(error.message));
    setRunning(false);
  }
  const failed = checks?.filter((one) => !one.ok) ?? [];
  return html`<h2>Doctor</h2>
    <p><button class="main" disabled=${isRunning} onClick=${run}>${isRunning ? "Checking …" : "Check this machine"}</button>
      <span class="muted"> Takes some seconds; visitors notice nothing.</span></p>
    <${Problem} words=${problem} />
    <p role="status">${isRunning ? "The checks run." : checks && (failed.length ? `${plural(failed.length, "check")} failed.` : "All checks passed.")}</p>
    ${checks && html`<ul class="parts">${[...failed, ...checks.filter((one) => one.ok)].map(({ check, ok, detail }) => html`<li>
      <span class=${ok ? "good" : "bad"}>${ok ? "✓" : "✗"}</span> <b>${check}</b> <span class=${ok ? "good" : "bad"}>${ok ? "ok" : "failed"}</span>
      <span class="muted">${detail}</span></li>`)}</ul>`}`;
}

function Log() {
  const [level, setLevel] = useState("info");
  const { value, problem } = usePolled(`/v1/logs?level=${level}&limit=200`);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const isAtEnd = useRef(true);
  useEffect(() => {
    if (box.current && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [value]);
  return html`<p><label>Least severe level <select value=${level} onChange=${(/** @type {any} */ event) => setLevel(event.target.value)}>
      ${LEVELS.map((one) => html`<option selected=${one === level}>${one}</option>`)}</select></label></p>
    <${Problem} words=${problem} />
    <ol class="log" ref=${box} tabindex="0" aria-label="Last lines of the log" onScroll=${(/** @type {any} */ { target }) => {
      isAtEnd.current = target.scrollHeight - target.scrollTop - target.clientHeight < 40;
    }}>${value?.lines.map((/** @type {any} */ { at, level: severity, event, fields }) => html`<li>
      <time>${clock(at)}</time> <b class=${{ warning: "warn", error: "bad" }[/** @type {string} */ (severity)] ?? "muted"}>${severity}</b>
      ${" "}${event} <span class="muted">${Object.entries(fields).map(([name, one]) => `${name}=${one}`).join("  ")}</span></li>`)}</ol>`;
}

/** @param {{value: any, problem: string}} props */
function SettingsInForce({ value, problem }) {
  const [words, setWords] = useState("");
  const rows = (value?.settings ?? []).filter((/** @type {any} */ { name, value: present, meaning }) =>
    `${name} ${present} ${meaning}`.toLowerCase().includes(words.trim().toLowerCase()));
  return html`<p><label>Search <input type="search" value=${words} onInput=${(/** @type {any} */ event) => setWords(event.target.value)} /></label>
      <span class="muted" role="status"> ${plural(rows.length, "setting")}. They are changed in .env, and read at a start.</span></p>
    <${Problem} words=${problem} />
    <dl class="settings">${rows.map((/** @type {any} */ { name, value: present, source, meaning }) => html`<div key=${name}>
      <dt>${name}=<b>${present}</b> <span class=${source === "default" ? "muted" : "good"}>${source}</span></dt>
      <dd class="muted">${meaning}</dd></div>`)}</dl>`;
}
