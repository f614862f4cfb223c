/** Requests to the server: JSON in and out, a problem (RFC 9457) as an exception. */

/** A request that failed: `status` is 0 if the server did not answer. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} detail a sentence for people
   * @param {number} retryAfterS seconds to wait, 0 if the server named none
   */
  constructor(status, detail, retryAfterS = 0) {
    super(detail);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

const unauthorized = new EventTarget();

/** Call `react` when a request is refused for want of the token. @param {() => void} react @returns {() => void} stops it */
export function onUnauthorized(react) {
  unauthorized.addEventListener("401", react);
  return () => unauthorized.removeEventListener("401", react);
}

/**
 * Send a request; throw ApiError unless the status is 2xx.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "The server does not answer.");
  }
  if (!response.ok) {
    if (response.status === 401) unauthorized.dispatchEvent(new Event("401"));
    const problem = await response.json().catch(() => ({}));
    const detail = problem.detail || problem.title || response.statusText;
    throw new ApiError(response.status, detail, Number(response.headers.get("retry-after")) || 0);
  }
  return response;
}

/** @param {string} path @returns {Promise<any>} */
export async function get(path) {
  return (await request(path)).json();
}

/** Send JSON, if there is any. @param {string} path @param {object} [body] @param {string} [method] */
export function post(path, body, method = "POST") {
  const headers = { "content-type": "application/json" };
  return request(path, body ? { method, headers, body: JSON.stringify(body) } : { method });
}

/** @param {Parameters<typeof post>} sent @returns {Promise<any>} the JSON of the answer, null if it is empty */
export async function send(...sent) {
  const response = await post(...sent);
  return response.status === 204 ? null : response.json();
}

/**
 * The address of a recording; `path` as in `slot.audio`.
 * @param {string} path
 * @param {number} [peaks] how many pairs of smallest and largest sample, instead of the sound
 */
export function audioUrl(path, peaks) {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `/v1/audio/${encoded}${peaks ? `?peaks=${peaks}` : ""}`;
}

/** @param {string} path @param {number} count @returns {Promise<{durationS: number, sampleRate: number, min: number[], max: number[]}>} */
export function peaksOf(path, count) {
  return get(audioUrl(path, count));
}

/** What a wave does to the water of a dish. @param {string} path @returns {Promise<import("./visitor/modes.mjs").DishMotion>} */
export async function surfaceOf(path) {
  return (await request(audioUrl(path).replace("audio", "water"), { cache: "default" })).json();
}
