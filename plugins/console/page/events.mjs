/** The connections to the server: the events of one session, and those of all. */

/**
 * @typedef {import("./session.mjs").SessionEvent} SessionEvent
 */

const NAMES = ["session.start", "turn.start", "slot.start", "slot.done", "slot.audio", "slot.error", "slot.waves", "turn.done", "done"];

/**
 * Follow the events of one session from its start; the browser comes back by itself after a drop.
 * @param {string} sessionId
 * @param {object} on
 * @param {(event: SessionEvent) => void} on.event
 * @param {(state: "open" | "lost" | "ended") => void} on.state ended: the server knows no more of it
 * @returns {() => void} stops following
 */
export function followSession(sessionId, on) {
  const source = new EventSource(`/v1/sessions/${encodeURIComponent(sessionId)}/events`);
  source.onopen = () => on.state("open");
  source.onerror = () => on.state(source.readyState === EventSource.CLOSED ? "ended" : "lost");
  for (const name of NAMES) {
    source.addEventListener(name, (message) => {
      on.event({ type: name, payload: JSON.parse(message.data), at: Date.now() });
    });
  }
  return () => source.close();
}

const ASK_EVERY_MS = 1000;
const LOST_AFTER_MS = 2500;
const RETRY_MS = [250, 500, 1000, 2000];

/**
 * Follow the events of all sessions over the WebSocket, and come back after a drop.
 *
 * The first hello names the last cursor, and its answer brings what was missed; events that come before
 * that answer are in it, too. A hello each second, without a cursor, is only answered: so a connection
 * that is dead without a word is seen within `LOST_AFTER_MS`.
 * @param {object} on
 * @param {(event: SessionEvent & {sessionId: string, cursor: number}) => void} on.event
 * @param {(state: {connected: boolean, replayed?: number, gap?: boolean, restarted?: boolean, aheadMs?: number}) => void} on.state
 *   `replayed`: how many events were missed and have come now; `gap`: some are no longer kept;
 *   `restarted`: it is another run of the server; `aheadMs`: by how much its clock is ahead of this machine's
 * @returns {() => void} stops following
 */
export function followAll(on) {
  let cursor = 0; // of the latest event; at first all that the server still keeps is asked for
  let run = "";
  let attempt = 0;
  let stopped = false;
  let timer = 0;
  let deadline = 0;
  let retry = 0;
  /** @type {WebSocket} */
  let socket;

  function connect() {
    const address = new URL("/v1/events?dialect=full", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const mine = (socket = new WebSocket(address));
    const asked = cursor;
    let first = true;

    mine.onopen = () => {
      ask();
      expectMore();
      timer = window.setInterval(ask, ASK_EVERY_MS);
    };
    mine.onmessage = ({ data }) => {
      expectMore();
      const message = JSON.parse(data);
      if (message.type === "hello.ack") {
        if (first) {
          first = false;
          attempt = 0;
          const restarted = run !== "" && run !== message.payload.run;
          if (restarted) cursor = 0; // all that comes now is new, whatever the clock of the earlier run was
          run = message.payload.run;
          const aheadMs = Date.parse(message.ts) - Date.now();
          on.state({ connected: true, replayed: asked ? message.payload.replayed : 0, restarted, aheadMs });
        }
      } else if (message.type === "replay.gap") {
        if (asked) on.state({ connected: true, gap: true });
      } else if (message.sessionId && !first && message.cursor > cursor) {
        cursor = message.cursor;
        on.event({ ...message, at: Date.parse(message.ts) });
      }
    };
    mine.onclose = () => lost();

    function ask() {
      if (mine.readyState === WebSocket.OPEN) {
        mine.send(JSON.stringify(first ? { type: "hello", cursor } : { type: "hello" }));
      }
    }

    function expectMore() {
      window.clearTimeout(deadline);
      deadline = window.setTimeout(lost, LOST_AFTER_MS);
    }

    function lost() {
      if (mine !== socket || stopped) return;
      window.clearInterval(timer);
      window.clearTimeout(deadline);
      mine.onclose = null;
      mine.close();
      on.state({ connected: false });
      retry = window.setTimeout(connect, RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]);
    }
  }

  connect();
  return () => {
    stopped = true;
    window.clearInterval(timer);
    window.clearTimeout(deadline);
    window.clearTimeout(retry);
    socket.close();
  };
}
