/** Loads recordings and plays them, several at one time; what played before in the page is stopped. */

import { audioUrl, request } from "../api.mjs";

const SAMPLE_RATE = 44_100;

/** @typedef {{position: () => number, stop: () => void}} Playing `position` in seconds */

/** @type {AudioContext | undefined} */
let context;
/** @type {Playing | undefined} */
let current;

/** @param {string} path @returns {Promise<AudioBuffer>} */
export async function load(path) {
  const content = await (await request(audioUrl(path))).arrayBuffer();
  return new OfflineAudioContext(1, 1, SAMPLE_RATE).decodeAudioData(content);
}

/**
 * @param {AudioBuffer[]} tracks they start at the same time, each as loud as its share
 * @param {number} fromS
 * @param {() => void} onEnd also when something else is played
 * @returns {Playing}
 */
export function play(tracks, fromS, onEnd) {
  current?.stop();
  const audio = (context ??= new AudioContext());
  void audio.resume();
  const gain = new GainNode(audio, { gain: 1 / tracks.length });
  gain.connect(audio.destination);
  const startAt = audio.currentTime + 0.05;
  let playing = tracks.length;
  for (const buffer of tracks) {
    const source = new AudioBufferSourceNode(audio, { buffer });
    source.connect(gain);
    source.onended = () => --playing === 0 && stop();
    source.start(startAt, Math.min(fromS, buffer.duration));
  }
  function stop() {
    if (current !== mine) return;
    current = undefined;
    gain.disconnect();
    onEnd();
  }
  const mine = { position: () => fromS + Math.max(0, audio.currentTime - startAt), stop };
  return (current = mine);
}
