/** The state of the room as a hook: every event is reduced at once, and drawn with the next frame. */

import { useLayoutEffect, useState } from "preact/hooks";
import { get } from "../api.mjs";
import { followAll } from "../events.mjs";
import { isRunning, newRoom, newestFirst, reduce } from "./room.mjs";

/** @typedef {(told: import("./room.mjs").RoomEvent | import("./room.mjs").ConnectionState) => void} Hear */

/** @returns {import("./room.mjs").Room} */
export function useRoom() {
  const [room, setRoom] = useState(newRoom);
  useLayoutEffect(() => {
    let latest = newRoom();
    let frame = 0;
    /** @type {Hear} */
    const hear = (told) => {
      if ("gap" in told && told.gap && !latest.connection.gap) void askForEnds(latest, hear);
      latest = reduce(latest, told);
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setRoom(latest);
      });
    };
    const stop = followAll({ event: hear, state: (state) => hear({ ...state, at: Date.now() }) });
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, []);
  return room;
}

/** Ask which sessions are over, where events are lost. @param {import("./room.mjs").Room} room @param {Hear} hear */
async function askForEnds(room, hear) {
  for (const { id } of newestFirst(room).filter(isRunning)) {
    const { status, finishedAt } = await get(`/v1/sessions/${id}`).catch(({ status }) => ({ status }));
    const at = Date.parse(finishedAt) || Date.now();
    if (["finished", "interrupted", 404].includes(status)) hear({ type: "done", sessionId: id, payload: {}, at });
  }
}
