/** What stands where on an axis: the times of an utterance, and the marks. */

/** @typedef {{name: "agent" | "speech" | "waves", from: number, to: number, isOpen: boolean}} Span */

/**
 * The times of an utterance. What has begun and not ended lasts until `now`; with `now` null it is left out.
 * @param {import("../session.mjs").Utterance} utterance
 * @param {number | null} now
 * @returns {Span[]}
 */
export function spansOf({ at, waves, wavesReason }, now) {
  const known = waves.length > 0 || wavesReason !== "";
  /** @type {[Span["name"], number | undefined, number | undefined][]} */
  const moments = [
    ["agent", at.start, at.done ?? at.error],
    ["speech", at.done, at.audio ?? at.error],
    ["waves", at.audio, at.waves ?? (known ? at.audio : undefined)],
  ];
  return moments.flatMap(([name, from, to]) => {
    const end = to ?? now;
    if (from === undefined || end === null) return [];
    return [{ name, from, to: Math.max(from, end), isOpen: to === undefined }];
  });
}

/** The step between marks of an axis of this length: 1, 2 or 5 times a power of ten. @param {number} length */
export function stepOf(length) {
  const power = 10 ** Math.floor(Math.log10(length / 4));
  return power * ([5, 2].find((one) => length / (power * one) >= 4) ?? 1);
}

/** @param {number} length @returns {number[]} */
export function ticksOf(length) {
  const step = stepOf(length);
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, n) => Number((n * step).toFixed(3)));
}
