/** A recording as a curve on a canvas. */

import { html } from "htm/preact";
import { useEffect, useRef } from "preact/hooks";

/** @typedef {{durationS: number, min: number[], max: number[]}} Peaks as from `peaksOf` */

/** @param {{name: string, peaks: Peaks, full: number, seconds: number}} props `full`: the sample at the upper edge */
export function Waveform({ name, peaks, full, seconds }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const draw = () => canvas.current && drawPeaks(canvas.current, peaks, full, seconds);
    draw();
    dark.addEventListener("change", draw);
    return () => dark.removeEventListener("change", draw);
  }, [peaks, full, seconds]);
  const label = `${name}: ${peaks.durationS.toFixed(1)} s`;
  return html`<canvas ref=${canvas} width="1600" height="128" role="img" aria-label=${label}></canvas>`;
}

/** @param {HTMLCanvasElement} canvas @param {Peaks} peaks @param {number} full @param {number} seconds */
function drawPeaks(canvas, { min, max, durationS }, full, seconds) {
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const { width, height } = canvas;
  const column = ((width / seconds) * durationS) / min.length;
  const y = (/** @type {number} */ sample) => (0.5 - sample / full / 2) * height;
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = getComputedStyle(canvas).color;
  min.forEach((low, n) => pen.fillRect(n * column, y(max[n]) - 1, Math.max(1, column), y(low) - y(max[n]) + 2));
}
