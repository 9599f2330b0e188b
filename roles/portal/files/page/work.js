// Takes recordings to their transcripts: upload, job, result. One tab works on a recording at a time; when it is closed, another one
// continues. Whatever fails for a while is tried again, and nothing is deleted.

import { serviceAt } from "./configuration.js";
import { order } from "./orders.js";
import * as recordings from "./recordings.js";
import { RequestError, deleteJob, job, send, states } from "./requests.js";
import { announce, listen } from "./signals.js";
import { fromResult } from "./transcript.js";

/** @typedef {import("./recordings.js").Recording} Recording */
/**
 * How far it is. `sent` and `total` are bytes; `reason` is why it waits until `retryAt`, in milliseconds since the epoch.
 *
 * @typedef {{
 *   starting?: boolean,
 *   sent?: number,
 *   total?: number,
 *   stage?: import("./requests.js").Job["stage"],
 *   progress?: number,
 *   reason?: "network" | "busy" | "unavailable",
 *   retryAt?: number,
 * }} Live
 */

/** Milliseconds between two looks at a job, and while nobody looks at the page. */
const LOOK = 1500;
const LOOK_HIDDEN = 8000;
/** Milliseconds between two requests for jobs, however many there are: nginx allows an address ten requests per second. */
const APART = 250;
/** Seconds to wait after a failure that the server did not say how long to wait after. */
const SHORTEST_PAUSE = 2;
const LONGEST_PAUSE = 30;

/** The services' codes for files that are no recordings. */
const UNREADABLE = ["unsupported_media_type", "undecodable_audio", "empty_file"];

/** @type {recordings.State[]} */
const UNFINISHED = ["waiting", "sending", "queued", "working"];

/** Number of jobs that this tab follows. */
let following = 0;

/** @param {Recording} recording */
export function isUnfinished(recording) {
  return UNFINISHED.includes(recording.state);
}

/**
 * Works on a recording until it is done, has failed or was cancelled; waits first for whoever works on it already.
 *
 * @param {string} id
 */
export function start(id) {
  return navigator.locks.request(`work-${id}`, () => attempts(id));
}

/** Continues what was left unfinished when the page was closed. */
export async function resumeAll() {
  for (const recording of await recordings.list()) if (isUnfinished(recording)) start(recording.id);
}

/** @param {string} id */
async function attempts(id) {
  const cancelled = new AbortController();
  const unlisten = new AbortController();
  listen(async (signal) => {
    if (signal.type !== "stored" || signal.id !== id) return;
    const recording = await recordings.get(id);
    if (!recording || recording.state === "cancelled") cancelled.abort();
  }, unlisten.signal);
  try {
    for (let failures = 0; ; failures++) {
      const recording = await recordings.get(id);
      if (!recording || !isUnfinished(recording)) return;
      try {
        await (recording.job ? follow(recording, cancelled.signal) : upload(recording, cancelled.signal));
        failures = -1;
      } catch (error) {
        if (cancelled.signal.aborted) return;
        await handle(id, error, failures, cancelled.signal);
      }
    }
  } finally {
    unlisten.abort();
    announce({ type: "live", id, live: null });
  }
}

/**
 * @param {Recording} recording
 * @param {AbortSignal} signal
 */
async function upload(recording, signal) {
  const { id, service, options } = recording;
  const audio = await recordings.audioOf(id);
  if (!audio) {
    await recordings.change(id, { state: "failed", problem: { code: "audioGone", message: "" } }, UNFINISHED);
    return;
  }
  await recordings.change(id, { state: "sending", problem: null }, UNFINISHED);
  /** @type {Live} */
  let live = { sent: 0, total: audio.size };
  const tell = (/** @type {Live} */ change) => announce({ type: "live", id, live: (live = { ...live, ...change }) });
  const look = watchStart(service, (starting) => tell({ starting }));
  try {
    const { path, form } = order(service, options, audio, recording.fileName);
    const answer = await send(path, form, (sent, total) => tell({ sent, total }), signal);
    if (answer.status === 202) await recordings.change(id, { state: "queued", job: answer.body.id }, UNFINISHED);
    else await finish(id, answer.body);
  } finally {
    look.abort();
  }
}

/**
 * Tells whether a service is being started, as long as that is of interest.
 *
 * @param {string} path
 * @param {(starting: boolean) => void} tell
 * @returns {AbortController}
 */
function watchStart(path, tell) {
  const controller = new AbortController();
  const host = serviceAt(path)?.host ?? "";
  const look = async () => {
    const state = (await states())[host];
    if (controller.signal.aborted) return;
    tell(state === "stopped" || state === "starting" || state === "stopping");
    if (state && state !== "ready" && state !== "draining") setTimeout(look, 1000);
  };
  look();
  return controller;
}

/**
 * @param {Recording} recording
 * @param {AbortSignal} signal
 */
async function follow({ id, service, job: jobId }, signal) {
  following++;
  try {
    for (;;) {
      const found = await job(service, jobId ?? "", signal);
      if (found.status === "completed") return await finish(id, found.result);
      if (found.status === "failed") throw new RequestError(400, found.error?.code ?? "", found.error?.message ?? "");
      if (found.status === "cancelled") throw new RequestError(400, "cancelled_there", "");
      await recordings.change(id, { state: found.status === "queued" ? "queued" : "working" }, UNFINISHED);
      announce({ type: "live", id, live: { stage: found.stage, progress: found.progress } });
      await pause(Math.max(document.hidden ? LOOK_HIDDEN : LOOK, following * APART), signal);
    }
  } finally {
    following--;
  }
}

/**
 * @param {string} id
 * @param {any} result
 */
async function finish(id, result) {
  await recordings.putTranscript(id, fromResult(result));
  await recordings.change(id, { state: "done", problem: null }, UNFINISHED);
}

/**
 * Waits before the next attempt, or gives up and says why.
 *
 * @param {string} id
 * @param {unknown} error
 * @param {number} failures
 * @param {AbortSignal} signal
 */
async function handle(id, error, failures, signal) {
  if (!(error instanceof RequestError)) {
    await recordings.change(id, { state: "failed", problem: { code: "server", message: String(error) } }, UNFINISHED);
    return;
  }
  const reason = temporary(error);
  if (!reason) {
    await recordings.change(id, { state: "failed", problem: problemOf(error) }, UNFINISHED);
    return;
  }
  const seconds = error.retryAfter ?? Math.min(LONGEST_PAUSE, SHORTEST_PAUSE * 2 ** failures);
  announce({ type: "live", id, live: { reason, retryAt: Date.now() + seconds * 1000 } });
  await pause(seconds * 1000, signal, true).catch(() => undefined);
}

/**
 * Why a request may succeed later, null if it will not.
 *
 * @param {RequestError} error
 * @returns {Live["reason"] | null}
 */
export function temporary({ status, retryAfter, code }) {
  if (status === 0 || status === 408) return "network";
  if (status === 429 && (retryAfter !== null || code === "rate_limit_exceeded")) return "busy";
  if ((status === 503 && retryAfter !== null) || status === 502 || status === 504) return "unavailable";
  return null;
}

/**
 * @param {RequestError} error
 * @returns {recordings.Problem}
 */
export function problemOf({ status, code, message }) {
  if (status === 401) return { code: "signedOut", message };
  if (code === "job_not_found") return { code: "jobGone", message };
  if (code === "cancelled_there") return { code: "cancelledThere", message };
  if (UNREADABLE.includes(code)) return { code: "notARecording", message };
  return { code: "server", message };
}

/**
 * @param {number} milliseconds
 * @param {AbortSignal} signal
 * @param {boolean} [untilOnline] Ends early when the network is back.
 */
function pause(milliseconds, signal, untilOnline = false) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, milliseconds);
    if (untilOnline) addEventListener("online", resolve, { once: true });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/**
 * Stops the work on a recording, here and on the server; the recording is kept.
 *
 * @param {Recording} recording
 */
export async function cancel({ id, service, job: jobId }) {
  await recordings.change(id, { state: "cancelled", job: null }, UNFINISHED);
  if (jobId) await deleteJob(service, jobId);
}

/**
 * Sends a recording again, or asks for its job again where only that failed.
 *
 * @param {Recording} recording
 */
export async function retry({ id, job: jobId, problem }) {
  const again = jobId && problem?.code === "signedOut";
  await recordings.change(id, { problem: null, ...(again ? { state: "queued" } : { state: "waiting", job: null }) });
  await start(id);
}

/**
 * Deletes a recording on both sides: first on the server, so that nothing stays there that the page no longer knows of.
 *
 * @param {Recording} recording
 */
export async function erase(recording) {
  if (isUnfinished(recording)) await recordings.change(recording.id, { state: "cancelled" });
  if (recording.job) await deleteJob(recording.service, recording.job);
  await recordings.remove(recording.id);
}
