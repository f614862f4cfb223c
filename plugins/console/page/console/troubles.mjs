/** What went wrong with an utterance, in words, and what to do. */

/** @type {Record<string, string>} */
const WAVES = {
  queue_full: "too many utterances were waiting. They are made later; more workers: RR_WAVES_WORKERS",
  no_worker: "no worker can be started on this machine. Run: reflective-resonance doctor",
  stopped: "the server was stopping. They are made after the next start",
  quarantined: "this recording crashed the workers several times. Make it again after an update",
  invalid_audio: "the recording cannot be used. Listen to it, and check the voice",
  timeout: "it took too long. Make it again when the machine is less busy",
  crashed: "the worker crashed. Make it again; if that repeats, read the log",
  killed: "the worker was terminated from outside, often for lack of memory. Close other programs, make it again",
  out_of_memory: "the worker had too little memory. Close other programs, make it again",
  publish_failed: "the files could not be written. Check that the disk has room, make it again",
  session_gone: "the session was deleted meanwhile. Nothing to do",
  not_recorded: "they were not recorded when this was played again. The session itself may have them",
  unreadable: "the files cannot be read. Make them again",
  late: "they were not there in time. Make them again",
  no_answer: "they were not there in time. Make them again",
  not_running: "the plugin waves does not run. Switch it on: RR_WAVES_ENABLED",
};

/** @param {string} reason as in `utterance.waves.failed` */
export function wavesTrouble(reason) {
  return `No waves: ${WAVES[reason] ?? `${reason || "no reason was given"}. Make them again; the log says more`}.`;
}

/** What failed at an utterance; empty if nothing did. @param {import("../session.mjs").Utterance} utterance */
export function troubleOf({ phase, error, at, audioPath, wavesReason }) {
  if (phase !== "failed") return audioPath && wavesReason ? wavesTrouble(wavesReason) : "";
  if (at.done === undefined) return `No answer: ${error}. The others go on.`;
  return `No speech: ${error}. Try the voice under Slots, and press Doctor under Health.`;
}
