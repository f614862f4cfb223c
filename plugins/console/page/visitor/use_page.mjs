/** What the page must know of the server, as a hook: access, hearing, version, who is in which dish. */

import { useCallback, useEffect, useLayoutEffect, useState } from "preact/hooks";
import { ApiError, get } from "../api.mjs";
import { reloadIfNewer } from "../version.mjs";

/**
 * @typedef {{slotId: number, agentId: string, name: string, color: string, description: string}} Slot
 * @typedef {object} Page
 * @property {"asking" | "ready" | "away" | "closed"} access closed: it needs a token
 * @property {boolean} hears whether speech is understood here
 * @property {Slot[]} slots
 * @property {string} version
 */

const ASK_EVERY_MS = 20_000;
const ASK_AGAIN_MS = 3_000;

/** @param {boolean} isIdle nobody speaks and nothing is shown: a new version may be loaded */
export function usePage(isIdle) {
  const [page, setPage] = useState(/** @returns {Page} */ () => ({ access: "asking", hears: true, slots: [], version: "" }));

  const ask = useCallback(async () => {
    try {
      const { version, tokenRequired, loggedIn, visitorOpen, hearing } = await get("/v1/page");
      const isClosed = tokenRequired && !loggedIn && !visitorOpen;
      const { slots } = isClosed ? { slots: [] } : await get("/v1/slots");
      setPage({
        access: isClosed ? "closed" : "ready",
        hears: hearing.state !== "disabled",
        slots,
        version,
      });
    } catch (error) {
      const isClosed = error instanceof ApiError && error.status === 401;
      setPage((before) => ({ ...before, access: isClosed ? "closed" : "away" }));
    }
  }, []);

  useEffect(() => reloadIfNewer(page.version, isIdle), [page.version, isIdle]);
  useLayoutEffect(() => {
    ask();
  }, []);
  useEffect(() => {
    const timer = window.setInterval(ask, page.access === "away" ? ASK_AGAIN_MS : ASK_EVERY_MS);
    return () => window.clearInterval(timer);
  }, [page.access]);

  return { page, ask };
}
