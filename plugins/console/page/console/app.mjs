/** The artist's page: its views, which of them the address names, and the strip above them all. */

import { html, render } from "htm/preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { get, onUnauthorized, send } from "../api.mjs";
import { Login } from "../login.mjs";
import { loadTexts } from "../texts.mjs";
import { reloadIfNewer } from "../version.mjs";
import { countsOf, isRunning, newestFirst } from "./room.mjs";
import { EmergencyStop } from "./emergency_stop.mjs";
import { plural } from "./format.mjs";
import { NowView } from "./now.mjs";
import { useRoom } from "./use_room.mjs";

const READY_EVERY_MS = 10_000;

/** @typedef {{room: import("./room.mjs").Room, sessionId: string}} ViewProps */
/** @type {Record<string, {title: string, load: () => Promise<(props: ViewProps) => any>}>} */
const VIEWS = {
  now: { title: "Now", load: async () => NowView },
  sessions: { title: "Sessions", load: async () => (await import("./sessions.mjs")).SessionsView },
  session: { title: "Session", load: async () => (await import("./session_view.mjs")).SessionView },
  slots: { title: "Slots", load: async () => (await import("./slots.mjs")).SlotsView },
  health: { title: "Health", load: async () => (await import("./health.mjs")).HealthView },
};
const MENU = ["now", "sessions", "slots", "health"];

/** The view that the address names. @param {string} hash */
function viewOf(hash) {
  const [, name = "", sessionId = ""] = hash.split("/");
  if (name === "sessions" && sessionId) return { view: "session", sessionId: decodeURIComponent(sessionId) };
  return { view: name in VIEWS ? name : "now", sessionId: "" };
}

const STATES = ["failed", "degraded", "warming"];

const SWITCHED_OFF = "switched off while the server runs"; // not by its setting

/** The parts of the server that are not well or were switched off, the worst first. @param {any} ready as of /v1/health/ready */
function unwell(ready) {
  const parts = Object.entries({ speech: ready.speech, hearing: ready.hearing, ...ready.plugins });
  const troubled = STATES.flatMap((state) => parts.filter(([, part]) => part.state === state).map(([name]) => `${name} is ${state}`));
  return [...troubled, ...parts.filter(([, part]) => part.reason === SWITCHED_OFF).map(([name]) => `${name} is off`)];
}

function App() {
  const [page, setPage] = useState(/** @type {any} */ (null));
  const [isAway, setAway] = useState(false);
  const ask = useCallback(async () => {
    try {
      const answer = await get("/v1/page");
      reloadIfNewer(answer.version);
      setPage(answer);
      setAway(false);
    } catch {
      setAway(true);
    }
  }, []);
  useLayoutEffect(() => { // before the first paint, as all that a start waits for
    void ask();
    return onUnauthorized(ask);
  }, []);
  useEffect(() => {
    if (!isAway) return;
    const timer = setInterval(ask, 1000);
    return () => clearInterval(timer);
  }, [isAway]);
  if (!page) return html`<main><p role="status">${isAway ? "The server does not answer. The page goes on trying." : ""}</p></main>`;
  if (page.tokenRequired && !page.loggedIn) return html`<${LoginView} onDone=${ask} />`;
  return html`<${Console} page=${page} ask=${ask} />`;
}

/** @param {{onDone: () => void}} props */
function LoginView({ onDone }) {
  const t = useModule(() => loadTexts("en"), "texts");
  return html`<main class="narrow"><h1>Reflective Resonance</h1>${t && html`<${Login} t=${t} wrongToken="wrongToken.artist" onDone=${onDone} />`}</main>`;
}

/** @param {{page: any, ask: () => void}} props */
function Console({ page, ask }) {
  const room = useRoom();
  const [{ view, sessionId }, setPlace] = useState(() => viewOf(location.hash));
  const ready = useReadiness(room.connection.connected);
  const main = useRef(/** @type {HTMLElement | null} */ (null));
  const View = useModule(VIEWS[view].load, view);
  useEffect(() => {
    const follow = () => setPlace(viewOf(location.hash));
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const isFirst = useRef(true);
  useEffect(() => {
    document.title = `${VIEWS[view].title} · Reflective Resonance`;
    if (!View) return;
    if (!isFirst.current) goToHeading();
    isFirst.current = false;
  }, [view, sessionId, View !== null]);
  function goToHeading() {
    const heading = main.current?.querySelector("h1");
    heading?.setAttribute("tabindex", "-1");
    heading?.focus();
  }
  const isLost = !room.connection.connected && room.connection.lostAt !== null;
  useEffect(() => {
    if (isLost || room.connection.restarted) ask(); // the token may be asked for again, or the page be old
  }, [isLost, room.connection.restarted]);

  return html`
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      goToHeading();
    }}>Skip to the content</a>
    <header>
      <nav aria-label="Views"><ul>${MENU.map((name) => {
        const current = name === view || (name === "sessions" && view === "session");
        return html`<li><a href="#/${name}" aria-current=${current ? "page" : null}>${VIEWS[name].title}</a></li>`;
      })}</ul></nav>
      <${Strip} room=${room} ready=${ready} />
      <${EmergencyStop} isOn=${["ok", "degraded"].includes(/** @type {any} */ (ready)?.plugins.playback?.state)} />
      <p class="links"><a href="/">Visitor's page</a>
        ${page.tokenRequired && html` <button onClick=${() => send("/v1/logout").then(ask)}>Log out</button>`}</p>
    </header>
    <p class="visually-hidden" role="status">${VIEWS[view].title}</p>
    <main id="main" ref=${main}>
      ${View ? html`<${View} key=${sessionId} room=${room} sessionId=${sessionId} />` : html`<p role="status">Loading …</p>`}
    </main>`;
}

/** @param {{room: import("./room.mjs").Room, ready: any}} props */
function Strip({ room, ready }) {
  const { connected } = room.connection;
  const running = newestFirst(room).filter(isRunning);
  const failed = running.reduce((sum, one) => sum + countsOf(one).failed, 0);
  const worst = ready ? unwell(ready) : [];
  return html`<p class="strip">
    <span class=${connected ? "good" : "bad"}>${connected ? "connected" : "not connected"}</span>
    <span>${running.length ? `${plural(running.length, "session")} running` : "no session"}</span>
    ${failed > 0 && html`<span class="bad">${failed} failed</span>`}
    ${worst.length ? html`<a class="warn" href="#/health">${worst.join(", ")}</a>` : ready && html`<span class="good">all parts well</span>`}
  </p>`;
}

/** How the parts of the server are, asked for now and then. @param {boolean} connected */
function useReadiness(connected) {
  const [ready, setReady] = useState(null);
  useLayoutEffect(() => {
    if (!connected) return;
    const ask = () => document.hidden || get("/v1/health/ready").then(setReady, () => {});
    ask();
    const timer = setInterval(ask, READY_EVERY_MS);
    return () => clearInterval(timer);
  }, [connected]);
  return ready;
}

/**
 * What a module gives, null until it is loaded; views are loaded when they are first shown.
 * @template T
 * @param {() => Promise<T>} load
 * @param {string} name
 * @returns {T | null}
 */
function useModule(load, name) {
  const [loaded, setLoaded] = useState(/** @type {{name: string, value: T} | null} */ (null));
  useLayoutEffect(() => {
    let isWanted = true;
    load().then((value) => isWanted && setLoaded({ name, value }));
    return () => void (isWanted = false);
  }, [name]);
  return loaded?.name === name ? loaded.value : null;
}

render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
