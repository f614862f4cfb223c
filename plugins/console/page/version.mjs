/** Loads the page again once the server has a newer one. */

const RELOADED = "rr.reloaded"; // for which version: not again, if that has helped nothing
let loaded = "";

/** @param {string} version as in /v1/page, empty if it is not known @param {boolean} [isIdle] nobody is disturbed by it */
export function reloadIfNewer(version, isIdle = true) {
  loaded ||= version;
  if (version === loaded || !isIdle || sessionStorage.getItem(RELOADED) === version) return;
  sessionStorage.setItem(RELOADED, version);
  location.reload();
}
