/** Spectra over time, by the fast Fourier transform. */

/**
 * Transform in place, radix 2; the length is a power of two.
 * @param {Float64Array} re
 * @param {Float64Array} im
 */
export function fft(re, im) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size *= 2) {
    const half = size / 2;
    for (let k = 0; k < half; k++) {
      const cos = Math.cos((2 * Math.PI * k) / size);
      const sin = -Math.sin((2 * Math.PI * k) / size);
      for (let i = k; i < n; i += size) {
        const x = re[i + half] * cos - im[i + half] * sin;
        const y = re[i + half] * sin + im[i + half] * cos;
        re[i + half] = re[i] - x;
        im[i + half] = im[i] - y;
        re[i] += x;
        im[i] += y;
      }
    }
  }
}

/** Average each `factor` samples into one. @param {Float32Array} y @param {number} factor */
function decimate(y, factor) {
  const means = new Float32Array(Math.floor(y.length / factor));
  return means.map((_, n) => y.subarray(n * factor, (n + 1) * factor).reduce((a, b) => a + b, 0) / factor);
}

/**
 * The level of each frequency up to `fmax` at each moment, in decibels; a full-scale sine has 0.
 * @param {Float32Array} y mono, full scale 1
 * @param {number} sampleRate
 * @param {{fmax: number, windowS: number, columns: number, seconds: number}} options `columns` over `seconds`
 * @returns {{levels: Float32Array, rows: number}} column after column, each from 0 Hz up
 */
export function spectrogram(y, sampleRate, { fmax, windowS, columns, seconds }) {
  const factor = Math.max(1, Math.floor(sampleRate / (4 * fmax)));
  const samples = decimate(y, factor);
  const rate = sampleRate / factor;
  const nFft = 2 ** Math.round(Math.log2(windowS * rate));
  const rows = Math.ceil((fmax / rate) * nFft);
  const hann = Float64Array.from({ length: nFft }, (_, n) => 0.5 - 0.5 * Math.cos((2 * Math.PI * n) / nFft));
  const levels = new Float32Array(columns * rows);
  for (let column = 0; column < columns; column++) {
    const start = Math.round(((column + 0.5) / columns) * seconds * rate - nFft / 2);
    const re = hann.map((weight, n) => weight * (samples[start + n] ?? 0));
    const im = new Float64Array(nFft);
    fft(re, im);
    for (let row = 0; row < rows; row++) {
      levels[column * rows + row] = 20 * Math.log10((4 / nFft) * Math.hypot(re[row], im[row]) + 1e-6);
    }
  }
  return { levels, rows };
}
