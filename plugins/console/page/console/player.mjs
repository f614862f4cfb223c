/** Loads recordings and plays them, several at one time; what played before in the page is stopped. */

import { useEffect, useState } from "preact/hooks";
import { audioUrl, request } from "../api.mjs";

const SAMPLE_RATE = 44_100;
/** @type {AudioContext | undefined} */
let context;
/** Sets what the component plays that played last. @type {((tracks: AudioBuffer[]) => void) | undefined} */
let setCurrent;

/** @param {string} path @returns {Promise<AudioBuffer>} */
export async function load(path) {
  const content = await (await request(audioUrl(path))).arrayBuffer();
  return new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(content);
}

/** What a component plays, and where it is. @param {number} seconds the length of all there is */
export function usePlayer(seconds) {
  const [tracks, setTracks] = useState(/** @type {AudioBuffer[]} */ ([]));
  const [from, setFrom] = useState(0);
  const [position, setPosition] = useState(0);
  useEffect(() => {
    if (tracks.length === 0) return;
    if (setCurrent !== setTracks) setCurrent?.([]);
    setCurrent = setTracks;
    const audio = (context ??= new AudioContext());
    void audio.resume();
    const startAt = audio.currentTime + 0.05; // the same for all tracks
    const sources = tracks.map((buffer) => {
      const source = new AudioBufferSourceNode(audio, { buffer });
      source.connect(audio.destination);
      source.start(startAt, Math.min(from, buffer.duration));
      return source;
    });
    let frame = requestAnimationFrame(function move() {
      const now = from + Math.max(0, audio.currentTime - startAt);
      setPosition(now < seconds ? now : 0);
      if (now < seconds) frame = requestAnimationFrame(move);
      else setTracks([]);
    });
    return () => {
      cancelAnimationFrame(frame);
      for (const source of sources) source.disconnect();
    };
  }, [tracks, from]);
  return {
    position,
    isPlaying: tracks.length > 0,
    /** @param {AudioBuffer[]} wanted */
    play(wanted) {
      setFrom(position);
      setTracks(wanted);
    },
    stop: () => setTracks([]),
    /** @param {number} to seconds */
    seek(to) {
      setPosition(to);
      setFrom(to);
    },
  };
}
