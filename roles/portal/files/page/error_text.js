// Errors in words.

import { t } from "./language.js";
import { RequestError } from "./requests.js";

/** @typedef {import("./english.js").Key} Key */

/**
 * What an error says; the server's own words where it answered.
 *
 * @param {unknown} error
 */
export function messageOf(error) {
  if (error instanceof RequestError && error.status === 0) return t("error.network");
  return error instanceof Error ? error.message : String(error);
}

/**
 * What is wrong with a recording, and what to do.
 *
 * @param {import("./recordings.js").Problem} problem
 */
export function problemText({ code, message }) {
  return t(/** @type {Key} */ (`error.${code}`), { message });
}
