/** The microphone: opened when it is needed, closed when it has not been needed for a while. */

import { encodeWav, levelOf } from "./wav.mjs";

export const SHORTEST_S = 0.3;
export const LONGEST_S = 15;
const SAMPLE_RATE = 16000;
const CLOSE_AFTER_MS = 30_000;

/** Why there is no sound: the name of a text. */
export class MicrophoneError extends Error {}

/**
 * @typedef {object} Recorder
 * @property {() => Promise<void>} open throws MicrophoneError
 * @property {(on: Listener) => void} start
 * @property {() => {wav: Blob, durationS: number}} stop
 * @property {() => void} close
 *
 * @typedef {object} Listener
 * @property {(level: number, durationS: number) => void} heard from 0 to 1, some 15 times a second
 * @property {() => void} lost the microphone was taken away
 */

/** @returns {Recorder} */
export function createRecorder() {
  /** @type {MediaStream | null} */
  let stream = null;
  /** @type {AudioContext | null} */
  let context = null;
  /** @type {Float32Array[]} */
  let blocks = [];
  /** @type {Listener | null} */
  let listener = null;
  let count = 0;
  let timer = 0;

  async function open() {
    window.clearTimeout(timer);
    if (!window.isSecureContext || !navigator.mediaDevices) throw new MicrophoneError("insecure");
    if (stream?.active && context) return context.resume();
    close();
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    } catch (error) {
      throw new MicrophoneError(reasonOf(error));
    }
    stream.getAudioTracks()[0].onended = () => {
      listener?.lost();
      close();
    };
    const source = await connect(stream);
    await source.context.audioWorklet.addModule("/page/visitor/recorder_worklet.mjs");
    const node = new AudioWorkletNode(source.context, "collector", { numberOfOutputs: 0 });
    node.port.onmessage = ({ data }) => receive(data);
    source.connect(node);
    await context?.resume();
  }

  /** Firefox takes no other rate than the microphone's; the server takes every rate. @param {MediaStream} from */
  async function connect(from) {
    context = new AudioContext({ sampleRate: SAMPLE_RATE });
    try {
      return context.createMediaStreamSource(from);
    } catch {
      await context.close();
      context = new AudioContext();
      return context.createMediaStreamSource(from);
    }
  }

  /** @param {Float32Array} block */
  function receive(block) {
    if (!listener || !context) return;
    blocks.push(block);
    count += block.length;
    listener.heard(levelOf(block), count / context.sampleRate);
  }

  /** @param {Listener} on */
  function start(on) {
    blocks = [];
    count = 0;
    listener = on;
  }

  function stop() {
    listener = null;
    window.clearTimeout(timer);
    timer = window.setTimeout(close, CLOSE_AFTER_MS);
    const rate = context?.sampleRate ?? SAMPLE_RATE;
    const samples = new Float32Array(count);
    let at = 0;
    for (const block of blocks) {
      samples.set(block, at);
      at += block.length;
    }
    blocks = [];
    return { wav: new Blob([encodeWav(samples, rate)], { type: "audio/wav" }), durationS: count / rate };
  }

  function close() {
    listener = null;
    stream?.getTracks().forEach((track) => track.stop());
    context?.close();
    stream = context = null;
  }

  return { open, start, stop, close };
}

/** @param {unknown} error */
function reasonOf(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "refused";
  return name === "NotFoundError" ? "noMicrophone" : "microphoneBusy";
}
