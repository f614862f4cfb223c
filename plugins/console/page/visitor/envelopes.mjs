/** How loud the waves of each utterance are over its time, as parts of the loudest moment. */

import { peaksOf, surfaceOf } from "../api.mjs";

/** @typedef {import("../session.mjs").Utterance} Utterance */

const PARTS_PER_S = 25;
const PARTS_OF_SPEECH = 250;
const WITHOUT_WAVES = [1, 0.7, 0.45];
const WORDS_PER_S = 2.5;

/**
 * @typedef {object} Envelope
 * @property {number} durationS
 * @property {number[][]} levels of three waves, each from 0 to 1
 */

/** Return the three levels of an envelope at a time; none before its start and after its end. @param {Envelope} envelope @param {number} timeS */
export function levelsAt({ durationS, levels }, timeS) {
  if (timeS < 0 || timeS >= durationS) return [0, 0, 0];
  return levels.map((one) => {
    const place = (timeS / durationS) * (one.length - 1);
    const index = Math.floor(place);
    const next = one[Math.min(index + 1, one.length - 1)];
    return one[index] + (next - one[index]) * (place - index);
  });
}

/** Return the mean levels: a picture that does not move. @param {Envelope} envelope */
export function meanLevels({ levels }) {
  return levels.map((one) => one.reduce((sum, level) => sum + level, 0) / Math.max(1, one.length));
}

/** @param {{min: number[], max: number[]}[]} all @returns {number[][]} */
export function scaled(all) {
  const levels = all.map(({ min, max }) => max.map((high, index) => Math.max(high, -min[index])));
  const loudest = Math.max(...levels.map((one) => one.reduce((a, b) => Math.max(a, b), 0))) || 1;
  return levels.map((one) => one.map((level) => level / loudest));
}

/** The envelopes and surfaces of one session; each is asked for once. @param {typeof peaksOf} [load] @param {typeof surfaceOf} [loadSurface] */
export function createEnvelopes(load = peaksOf, loadSurface = surfaceOf) {
  /** @type {Map<string, Promise<any>>} */
  const asked = new Map();
  /** @type {Map<string, Envelope>} the best that is known, by the key of the utterance */
  const known = new Map();
  /** @type {Map<string, import("./modes.mjs").DishMotion>} */
  const surfaces = new Map();
  let queue = Promise.resolve(); // one request at a time: the server may need seconds, and speech must not wait

  /** @param {Utterance} one @returns {Promise<Envelope>} */
  function ofSpeech(one) {
    return once(one, one.audioPath, async () => {
      const { durationS, ...peaks } = await load(one.audioPath, PARTS_OF_SPEECH);
      const [speech] = scaled([peaks]);
      return { durationS, levels: WITHOUT_WAVES.map((part) => speech.map((level) => level * part)) };
    });
  }

  /** @param {Utterance} one @returns {Promise<Envelope>} */
  function ofWaves(one) {
    return once(one, one.waves.join(), async () => {
      const { durationS } = await ofSpeech(one);
      const count = Math.max(2, Math.round(durationS * PARTS_PER_S));
      return { durationS, levels: scaled(await Promise.all(one.waves.slice(0, 3).map((path) => load(path, count)))) };
    });
  }

  /** @param {Utterance} one @param {string} name @param {() => Promise<Envelope>} make */
  function once(one, name, make) {
    const made = asked.get(name) ?? make().then((envelope) => {
      known.set(one.key, envelope);
      return envelope;
    });
    asked.set(name, made);
    return made;
  }

  /** Ask for what an utterance does to water, again after a failure. @param {Utterance} one */
  function askSurface({ key, waves }) {
    const surfacePath = waves.find((path) => path.includes("_faraday_wave"));
    if (!surfacePath || asked.has(surfacePath)) return;
    queue = queue.then(() => loadSurface(surfacePath)).then(
      (motion) => void surfaces.set(key, motion),
      () => void asked.delete(surfacePath),
    );
    asked.set(surfacePath, queue);
  }

  return {
    /** What is known now. @param {string} key @returns {Envelope | null} */
    of: (key) => known.get(key) ?? null,
    /** @param {string} key */
    surfaceOf: (key) => surfaces.get(key) ?? null,
    /** Ask for what is not known yet of an utterance that is spoken. @param {Utterance} one */
    ask(one) {
      (one.waves.length ? ofWaves(one) : ofSpeech(one)).catch(() => {});
      askSurface(one);
    },
    /** How long an utterance is; without its speech, as long as it takes to read. @param {Utterance} one */
    async durationOf(one) {
      try {
        return (await ofSpeech(one)).durationS;
      } catch {
        return 1 + one.text.split(/\s+/).length / WORDS_PER_S;
      }
    },
  };
}
