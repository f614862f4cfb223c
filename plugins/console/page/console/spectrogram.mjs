/** The frequencies of recordings over time on a canvas; each recording has its colour. */

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";
import { Axis } from "./axis.mjs";
import { spectrogram } from "./fft.mjs";

const COLUMNS = 400;
const RANGE_DB = 60;

/**
 * @param {{title: string, tracks: AudioBuffer[], colors: number[][], fmax: number, windowS: number,
 *   seconds: number}} props `colors`: red, green, blue up to 255
 */
export function Spectrogram({ title, tracks, colors, fmax, windowS, seconds }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    const timer = setTimeout(() => {
      if (!canvas.current) return;
      const options = { fmax, windowS, seconds, columns: COLUMNS };
      const images = tracks.map((track) => spectrogram(track.getChannelData(0), track.sampleRate, options));
      drawLevels(canvas.current, images, colors);
    });
    return () => clearTimeout(timer);
  }, [tracks]);
  return html`<figure class="spectrogram">
    <figcaption>${title}</figcaption>
    <${Axis} length=${fmax} unit="Hz" isUpright />
    <div class="lane">
      <canvas ref=${canvas} width=${COLUMNS} height="1" role="img" aria-label="Spectrogram: ${title}"></canvas>
    </div>
    <${Axis} length=${seconds} unit="s" />
  </figure>`;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {{levels: Float32Array, rows: number}[]} images
 * @param {number[][]} colors
 */
function drawLevels(canvas, images, colors) {
  const rows = (canvas.height = images[0].rows);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixels = pen.createImageData(COLUMNS, rows);
  images.forEach(({ levels }, n) => {
    const loudest = levels.reduce((a, b) => Math.max(a, b), -RANGE_DB);
    levels.forEach((level, i) => {
      const pixel = 4 * ((rows - 1 - (i % rows)) * COLUMNS + Math.floor(i / rows));
      const light = Math.max(0, 1 - (loudest - level) / RANGE_DB) ** 2;
      colors[n].forEach((part, c) => (pixels.data[pixel + c] += light * part));
      pixels.data[pixel + 3] = 255;
    });
  });
  pen.putImageData(pixels, 0, 0);
}
