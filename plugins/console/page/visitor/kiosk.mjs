/** A screen in the exhibition: full, awake, and at rest again when nobody is there. */

const REST_AFTER_MS = 60_000;

export const isKiosk = new URLSearchParams(location.search).has("kiosk");

/** Fill the screen at the first touch, and keep it awake. */
export function startKiosk() {
  document.documentElement.classList.add("kiosk");
  document.addEventListener("pointerup", () => document.documentElement.requestFullscreen?.().catch(() => {}), { once: true });
  document.addEventListener("contextmenu", (event) => event.preventDefault());
  document.addEventListener("visibilitychange", stayAwake); // the lock ends when the page is hidden
  stayAwake();
}

async function stayAwake() {
  if (document.visibilityState !== "visible") return;
  try {
    await navigator.wakeLock?.request("screen");
  } catch {
    // the battery is low or the connection is not secure: the screen's own settings decide
  }
}

/** Call `rest` once nothing was touched for a minute from now on; return what ends the waiting. @param {() => void} rest */
export function restLater(rest) {
  let timer = 0;
  const wait = () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(rest, REST_AFTER_MS);
  };
  wait();
  for (const name of ["pointerdown", "keydown"]) document.addEventListener(name, wait);
  return () => {
    window.clearTimeout(timer);
    for (const name of ["pointerdown", "keydown"]) document.removeEventListener(name, wait);
  };
}
