/** Recorded samples: as a WAV file, and how loud they are. */

const HEADER_BYTES = 44;
const SILENT_DB = -55;
const LOUD_DB = -12;

/**
 * Return a mono WAV file with 16 bits a sample.
 * @param {Float32Array} samples full scale is 1; what is over it is clipped
 * @param {number} sampleRate in Hertz
 */
export function encodeWav(samples, sampleRate) {
  const view = new DataView(new ArrayBuffer(HEADER_BYTES + 2 * samples.length));
  const word = (/** @type {number} */ at, /** @type {string} */ text) =>
    [...text].forEach((letter, index) => view.setUint8(at + index, letter.charCodeAt(0)));
  word(0, "RIFF");
  view.setUint32(4, view.byteLength - 8, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true); // bytes of this chunk
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true); // bytes per second
  view.setUint16(32, 2, true); // bytes per frame
  view.setUint16(34, 16, true); // bits per sample
  word(36, "data");
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((sample, index) => {
    view.setInt16(HEADER_BYTES + 2 * index, Math.round(32767 * Math.max(-1, Math.min(1, sample))), true);
  });
  return view.buffer;
}

/** Return how loud samples are, from 0 (silent) to 1, in equal steps of decibels. @param {Float32Array} samples */
export function levelOf(samples) {
  if (samples.length === 0) return 0;
  const rms = Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
  const level = (20 * Math.log10(rms) - SILENT_DB) / (LOUD_DB - SILENT_DB);
  return Math.max(0, Math.min(1, level));
}
