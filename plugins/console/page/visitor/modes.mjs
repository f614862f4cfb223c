/** The surface of a dish as a sum of its modes, J_m(k r) cos(m theta), with amplitudes that the server computed. */

/** @typedef {{perSecond: number, carrierHz: number, orders: number[], zeros: number[], amplitudes: string}} DishMotion `GET /v1/water/` */

export const SIZE = 64; // points of the grid in a dish's width
const RADII = 256;
const SLOWED = 8; // water that oscillates 10 to 13 times a second would flicker: it is drawn so much slower
const CREST_UM = 1500; // height that has the full color
const STILL_ALPHA = 0.25;
const SAME_S = 0.005;

/** J_m(x), as the mean of Bessel's integrand over a turn. @param {number} m @param {number} x */
function bessel(m, x) {
  const count = Math.ceil(m + x) + 24;
  let sum = 0;
  for (let step = 0; step < count; step++) {
    const turn = (2 * Math.PI * step) / count;
    sum += Math.cos(m * turn - x * Math.sin(turn));
  }
  return sum / count;
}

/** A mode on the grid, 1 at its highest place. @param {number} order @param {number} zero */
function shapeOf(order, zero) {
  const m = Math.abs(order);
  const radial = Array.from({ length: RADII + 2 }, (_, index) => bessel(m, (zero * index) / RADII));
  const highest = Math.max(...radial.map(Math.abs));
  return new Float32Array(SIZE * SIZE).map((_, index) => {
    const [x, y] = [index % SIZE, Math.floor(index / SIZE)].map((place) => (2 * place + 1) / SIZE - 1);
    const angle = m * Math.atan2(y, x);
    const place = Math.min(1, Math.hypot(x, y)) * RADII;
    const inner = Math.floor(place);
    const height = radial[inner] + (radial[inner + 1] - radial[inner]) * (place - inner);
    return (height / highest) * (order < 0 ? Math.sin(angle) : Math.cos(angle));
  });
}

/** Return what gives the heights in micrometres at a time, null after the last frame. @param {DishMotion} motion @param {number} [slowed] */
export function heightsOf({ perSecond, carrierHz, orders, zeros, amplitudes }, slowed = SLOWED) {
  const bytes = Uint8Array.from(atob(amplitudes), (letter) => letter.charCodeAt(0));
  const values = new Int16Array(bytes.buffer); // real and imaginary, by frame and mode
  const shapes = orders.map((order, mode) => shapeOf(order, zeros[mode]));
  const width = 2 * shapes.length;
  return (/** @type {number} */ timeS) => {
    const place = timeS * perSecond;
    const frame = Math.floor(place);
    if ((frame + 2) * width > values.length) return null;
    const turn = (2 * Math.PI * carrierHz * timeS) / slowed;
    const heights = new Float32Array(SIZE * SIZE);
    shapes.forEach((shape, mode) => {
      const at = frame * width + 2 * mode;
      const [real, imaginary] = [at, at + 1].map((one) => values[one] + (values[one + width] - values[one]) * (place - frame));
      const amplitude = real * Math.cos(turn) + imaginary * Math.sin(turn);
      for (let index = 0; index < heights.length; index++) heights[index] += amplitude * shape[index];
    });
    return heights;
  };
}

/** @type {{motion: DishMotion, heights: ReturnType<typeof heightsOf>, timeS: number, canvas: HTMLCanvasElement} | null} what was drawn last: a summary moves six dishes */
let last = null;

/** Fill a dish with its surface; tell whether there is one at that time. @param {CanvasRenderingContext2D} context @param {DishMotion} motion @param {number} timeS */
export function drawSurface(context, motion, timeS) {
  if (last?.motion !== motion) {
    const canvas = Object.assign(document.createElement("canvas"), { width: SIZE, height: SIZE });
    last = { motion, heights: heightsOf(motion), timeS: -1, canvas };
  }
  if (Math.abs(timeS - last.timeS) > SAME_S) {
    const heights = last.heights(timeS);
    if (!heights) return false;
    last.timeS = timeS;
    const picture = new ImageData(SIZE, SIZE);
    heights.forEach((height, index) => (picture.data[4 * index + 3] = 255 * (STILL_ALPHA + ((1 - STILL_ALPHA) * height) / CREST_UM)));
    last.canvas.getContext("2d")?.putImageData(picture, 0, 0);
  }
  const size = context.canvas.width;
  context.globalAlpha = 1;
  context.globalCompositeOperation = "copy";
  context.drawImage(last.canvas, 0, 0, size, size);
  context.globalCompositeOperation = "source-in";
  context.fillStyle = context.strokeStyle;
  context.fillRect(0, 0, size, size);
  return true;
}
