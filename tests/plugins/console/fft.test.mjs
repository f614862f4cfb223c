/** Spectra of known tones. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { fft, spectrogram } from "../../../plugins/console/page/console/fft.mjs";

const tone = (hertz, rate, seconds, level = 1) =>
  Float32Array.from({ length: rate * seconds }, (_, n) => level * Math.sin((2 * Math.PI * hertz * n) / rate));
const loudest = (levels) => levels.reduce((best, level, row) => (level > levels[best] ? row : best), 0);

test("the transform equals the sum that defines it", () => {
  const n = 16;
  const x = Float64Array.from({ length: n }, (_, i) => Math.cos(i * i) + i / 7);
  const [re, im] = [x.slice(), new Float64Array(n)];
  fft(re, im);
  for (let k = 0; k < n; k++) {
    const sum = (f) => x.reduce((total, value, i) => total + value * f((2 * Math.PI * k * i) / n), 0);
    assert.ok(Math.abs(re[k] - sum(Math.cos)) < 1e-9 && Math.abs(im[k] + sum(Math.sin)) < 1e-9);
  }
});

for (const [hertz, fmax, windowS] of [[60, 250, 0.3], [210, 250, 0.3], [1000, 5000, 0.025], [4400, 5000, 0.025]]) {
  test(`a tone of ${hertz} Hz stands at ${hertz} Hz with its level`, () => {
    const options = { fmax, windowS, seconds: 2, columns: 20 };
    const { levels, rows } = spectrogram(tone(hertz, 44_100, 2, 0.5), 44_100, options);
    for (let column = 3; column < 17; column++) {
      const one = levels.subarray(column * rows, (column + 1) * rows);
      assert.ok(Math.abs((loudest(one) * fmax) / rows - hertz) <= (1.5 * fmax) / rows);
      assert.ok(Math.abs(one[loudest(one)] + 6) < 3, `${one[loudest(one)]} dB`);
    }
  });
}

test("where the recording is over there is silence", () => {
  const { levels, rows } = spectrogram(tone(100, 8000, 1), 8000, { fmax: 250, windowS: 0.3, seconds: 2, columns: 20 });
  assert.ok(levels.subarray(17 * rows).every((level) => level < -100));
});
