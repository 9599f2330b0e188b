// New recordings from files: what is wrong with a file is said before it is sent.

import { serviceFor } from "./orders.js";
import * as recordings from "./recordings.js";
import { start } from "./work.js";

/** @typedef {{ key: "error.empty" | "error.tooLarge", name: string, bytes: number, limit: number }} Refusal */

/**
 * Why a file is not accepted, null if it is.
 *
 * @param {{ name: string, size: number }} file
 * @param {number} limit Bytes.
 * @returns {Refusal | null}
 */
export function refuse({ name, size: bytes }, limit) {
  if (bytes === 0) return { key: "error.empty", name, bytes, limit };
  if (bytes > limit) return { key: "error.tooLarge", name, bytes, limit };
  return null;
}

/** @param {string} name */
function titleOf(name) {
  return name.replace(/\.[^.]{1,5}$/, "") || name;
}

/**
 * Takes files in, and sends them.
 *
 * @param {Iterable<File>} files
 * @param {recordings.Options} options
 * @param {boolean} keep
 * @returns {Promise<{ refusals: Refusal[], unkept: boolean }>} `unkept`: one that was to be kept was not.
 */
export async function take(files, options, keep) {
  const service = serviceFor(options);
  /** @type {Refusal[]} */
  const refusals = [];
  let unkept = false;
  for (const file of service ? files : []) {
    const refusal = refuse(file, service?.limit ?? Infinity);
    if (refusal) {
      refusals.push(refusal);
      continue;
    }
    const about = {
      title: titleOf(file.name),
      fileName: file.name,
      bytes: file.size,
      type: file.type,
      options,
      service: service?.path ?? "",
    };
    const { id } = await recordings.add({ ...about, state: "stored", kept: false });
    const kept = await recordings.putAudio(id, file, keep);
    unkept ||= keep && !kept;
    await recordings.change(id, { kept, state: "waiting" });
    start(id);
  }
  return { refusals, unkept };
}

/**
 * Gives a recording its file again.
 *
 * @param {recordings.Recording} recording
 * @param {File} file
 */
export async function replaceAudio({ id }, file) {
  const kept = await recordings.putAudio(id, file, true);
  await recordings.change(id, { kept, bytes: file.size, type: file.type, fileName: file.name });
}

/**
 * Opens a job that another browser or program sent.
 *
 * @param {string} service
 * @param {import("./requests.js").Job} job
 * @param {string} title
 */
export async function adopt(service, job, title) {
  const options = { speakers: false, language: "", count: null, words: "" };
  const { id } = await recordings.add({
    title,
    fileName: "",
    bytes: 0,
    type: "",
    options,
    service,
    job: job.id,
    state: "queued",
    kept: false,
  });
  start(id);
}
