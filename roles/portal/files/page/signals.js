// What changes is announced to all tabs, this one included.

/** `stored`: an entry of the database changed; `live`: the progress of one, which is not stored. */
/** @typedef {{ type: "stored" | "live", id: string, live?: import("./work.js").Live | null }} Signal */

const channel = new BroadcastChannel("speech-to-text");
const target = new EventTarget();

channel.onmessage = (/** @type {MessageEvent<Signal>} */ { data }) =>
  target.dispatchEvent(new CustomEvent("signal", { detail: data }));

/** @param {Signal} signal */
export function announce(signal) {
  channel.postMessage(signal);
  target.dispatchEvent(new CustomEvent("signal", { detail: signal }));
}

/**
 * @param {(signal: Signal) => void} listener
 * @param {AbortSignal} until
 */
export function listen(listener, until) {
  target.addEventListener("signal", (event) => listener(/** @type {CustomEvent<Signal>} */ (event).detail), {
    signal: until,
  });
}
