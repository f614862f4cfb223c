/** The state of the room as a hook: every event is reduced at once, and drawn with the next frame. */

import { useEffect, useState } from "preact/hooks";
import { followAll } from "../events.mjs";
import { newRoom, reduce } from "./room.mjs";

/** @returns {import("./room.mjs").Room} */
export function useRoom() {
  const [room, setRoom] = useState(newRoom);
  useEffect(() => {
    let latest = newRoom();
    let frame = 0;
    /** @param {import("./room.mjs").RoomEvent | import("./room.mjs").ConnectionState} told */
    function hear(told) {
      latest = reduce(latest, told);
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setRoom(latest);
      });
    }
    const stop = followAll({ event: hear, state: (state) => hear({ ...state, at: Date.now() }) });
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, []);
  return room;
}
