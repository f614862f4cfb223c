/** The session that is shown, as a hook: followed, heard utterance by utterance, kept over a reload. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { get } from "../api.mjs";
import { followSession } from "../events.mjs";
import { newSession, reduce } from "../session.mjs";
import { createEnvelopes } from "./envelopes.mjs";
import { createPlayback } from "./playback.mjs";

/**
 * @typedef {import("../session.mjs").Session} Session
 * @typedef {import("../session.mjs").Utterance} Utterance
 * @typedef {{id: string, question: string, heard: string[]}} Kept
 *
 * @typedef {object} Heard
 * @property {Utterance | null} current
 * @property {Set<string>} heard
 */

const KEPT = "rr.session";
const TRY_AGAIN_MS = 2000;
const NOTHING = { current: null, heard: new Set() };

/**
 * @param {object} options
 * @param {boolean} options.loud
 * @param {() => void} options.cameBack the connection was lost and is there again
 * @param {HTMLAudioElement} options.audio
 */
export function useSession({ loud, cameBack, audio }) {
  const [kept, setKept] = useState(/** @returns {Kept | null} */ () => JSON.parse(sessionStorage.getItem(KEPT) ?? "null"));
  const [session, setSession] = useState(/** @type {Session | null} */ (null));
  const [{ current, heard }, setHeard] = useState(/** @type {Heard} */ (NOTHING));
  const [link, setLink] = useState(/** @type {"open" | "lost" | "gone"} */ ("open"));
  const playback = useRef(/** @type {ReturnType<typeof createPlayback> | null} */ (null));
  const id = kept?.id ?? "";
  const envelopes = useMemo(() => createEnvelopes(), [id]);

  useEffect(() => {
    if (!kept) return;
    let latest = newSession(id);
    let frame = 0;
    let timer = 0;
    let wasLost = false;
    let stopFollowing = () => {};
    const player = (playback.current = createPlayback({
      durationOf: envelopes.durationOf,
      changed(now, keys) {
        sessionStorage.setItem(KEPT, JSON.stringify({ ...kept, heard: [...keys] }));
        setHeard({ current: now, heard: new Set(keys) });
        if (now) envelopes.ask(now); // what came too late before
      },
      heard: new Set(kept.heard),
      audio,
      loud,
    }));
    setHeard({ current: null, heard: new Set(kept.heard) });

    function show() {
      frame = 0;
      for (const one of Object.values(latest.utterances)) if (one.phase === "spoken") envelopes.ask(one);
      setSession(latest);
      player.offer(latest);
    }

    function follow() {
      stopFollowing = followSession(id, {
        event(event) {
          latest = reduce(latest, event);
          frame ||= requestAnimationFrame(show);
        },
        state(state) {
          if (state === "lost" && latest.finishedAt) return; // the stream is over: what comes next is its end
          if (state === "ended") ended();
          else setLink(state);
          if (state === "open" && wasLost) cameBack();
          wasLost = state !== "open";
        },
      });
    }

    async function ended() {
      if (latest.finishedAt) return;
      try {
        await get("/v1/page");
        setLink("gone"); // the server is there and does not know this session
      } catch {
        setLink("lost");
        timer = window.setTimeout(follow, TRY_AGAIN_MS);
      }
    }

    follow();
    return () => {
      stopFollowing();
      player.stop();
      cancelAnimationFrame(frame);
      window.clearTimeout(timer);
      setSession(null);
      setHeard(NOTHING);
      setLink("open");
    };
  }, [id]);

  useEffect(() => {
    playback.current?.setLoud(loud);
  }, [loud]);

  /** @param {Kept | null} next */
  function keep(next) {
    if (next) sessionStorage.setItem(KEPT, JSON.stringify(next));
    else sessionStorage.removeItem(KEPT);
    setKept(next);
  }

  return {
    id,
    session,
    current,
    heard,
    link,
    question: kept?.question ?? "",
    envelopes,
    /** Seconds since an utterance began. @param {string} key */
    elapsedS: (key) => playback.current?.elapsed(key) ?? null,
    /** @param {string} sessionId @param {string} question */
    begin: (sessionId, question) => keep({ id: sessionId, question, heard: [] }),
    leave: () => keep(null),
  };
}
