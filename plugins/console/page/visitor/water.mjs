/** The water of all dishes: its computed surface, or else rings that run outwards, as bright as the waves were a moment before. */

import { levelsAt, meanLevels } from "./envelopes.mjs";
import { drawSurface } from "./modes.mjs";

/** @typedef {import("./envelopes.mjs").Envelope} Envelope */

/**
 * What moves the water: nobody (rest), an agent that thinks, an utterance, or nothing (still).
 * @typedef {object} Motion
 * @property {"rest" | "thinking" | "speaking" | "still"} kind
 * @property {() => Envelope | null} [envelope] of what is spoken
 * @property {() => import("./modes.mjs").DishMotion | null} [surface] that what is spoken makes
 * @property {() => number | null} [elapsedS] of what is spoken
 *
 * @typedef {object} Dish
 * @property {number} phase differs from dish to dish, so that they do not breathe together
 * @property {Motion} motion
 */

const WAVES = [
  { rings: 4, width: 0.034, speed: 0.3 },
  { rings: 7, width: 0.018, speed: 0.42 },
  { rings: 12, width: 0.009, speed: 0.6 },
]; // width as a part of the radius, speed in ring distances per second
const CROSSING_S = 0.9; // from the middle to the rim
const CALM_FRAME_MS = 40;
const STILL_FRAME_MS = 500;

/** @type {Map<HTMLCanvasElement, Dish>} */
const dishes = new Map();
const isStill = matchMedia("(prefers-reduced-motion: reduce)");
const isDark = matchMedia("(prefers-color-scheme: dark)");
let frame = 0;
let drawnAt = 0;

/** Draw a dish from now on, until the function that is returned is called. @param {HTMLCanvasElement} canvas @param {Dish} dish */
export function fill(canvas, dish) {
  dishes.set(canvas, dish);
  drawnAt = 0;
  frame ||= requestAnimationFrame(tick);
  return () => dishes.delete(canvas);
}

function tick() {
  const now = performance.now();
  frame = 0;
  const isSpoken = [...dishes.values()].some(({ motion }) => motion.kind === "speaking");
  if (isSpoken || now - drawnAt >= CALM_FRAME_MS) {
    drawnAt = now;
    for (const [canvas, dish] of dishes) draw(canvas, dish, isStill.matches ? 0 : now / 1000);
  }
  if (!dishes.size) return;
  if (isStill.matches) frame = window.setTimeout(tick, STILL_FRAME_MS);
  else frame = requestAnimationFrame(tick);
}

/** @param {HTMLCanvasElement} canvas @param {Dish} dish @param {number} timeS */
function draw(canvas, { phase, motion }, timeS) {
  const size = Math.round(canvas.clientWidth * Math.min(2, devicePixelRatio));
  const context = canvas.getContext("2d");
  if (!context || !size) return;
  if (canvas.width !== size) canvas.width = canvas.height = size;
  context.strokeStyle = getComputedStyle(canvas).color;
  const surface = motion.surface?.();
  const elapsedS = isStill.matches ? null : motion.elapsedS?.();
  if (surface && elapsedS != null && drawSurface(context, surface, elapsedS)) return;
  context.clearRect(0, 0, size, size);
  context.globalCompositeOperation = isDark.matches ? "lighter" : "multiply";
  const radius = size / 2;
  const levels = levelsOf(motion, timeS, phase);
  WAVES.forEach(({ rings, width, speed }, wave) => {
    context.lineWidth = Math.max(0.7, width * radius);
    for (let ring = 0; ring < rings; ring++) {
      const place = (ring + ((timeS * speed + phase) % 1)) / rings; // 0 in the middle, 1 at the rim
      const level = levels(place * CROSSING_S)[wave];
      const alpha = (isDark.matches ? 0.14 + 0.86 * level : 0.14 + 1.1 * level) * Math.sin(Math.PI * Math.min(1, place + 0.06)) ** 0.6;
      if (alpha < 0.015) continue;
      context.globalAlpha = Math.min(1, alpha);
      context.beginPath();
      context.arc(radius, radius, Math.min(0.985, place + 0.03 * level) * radius, 0, 2 * Math.PI);
      context.stroke();
    }
  });
}

/**
 * Return the levels of the three waves as they were `ago` seconds before.
 * @param {Motion} motion
 * @param {number} timeS
 * @param {number} phase
 * @returns {(ago: number) => number[]}
 */
function levelsOf(motion, timeS, phase) {
  if (motion.kind === "speaking") {
    const envelope = motion.envelope?.();
    const elapsedS = motion.elapsedS?.();
    if (!envelope || elapsedS == null) return () => [0.1, 0.1, 0.1];
    if (isStill.matches) return () => meanLevels(envelope);
    return (ago) => levelsAt(envelope, elapsedS - ago);
  }
  if (motion.kind === "still") return () => [0, 0, 0];
  const [speed, strength] = motion.kind === "thinking" ? [2.6, 0.75] : [0.9, 0.4];
  return (ago) => {
    const swell = 0.5 + 0.5 * Math.sin((timeS - ago) * speed + 6.283 * phase);
    return [swell ** 3 * strength, swell ** 4 * strength * 0.7, swell * strength * 0.15];
  };
}
