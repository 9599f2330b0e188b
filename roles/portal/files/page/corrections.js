// What a person changed in a transcript: texts of segments and names of speakers, with undo. Pure: every function returns a new value.

import { UNKNOWN } from "./transcript.js";

/** @typedef {import("./transcript.js").Segment} Segment */
/** @typedef {{ kind: "texts" | "names", key: string, before: string | null, after: string | null }} Change */
/**
 * Texts by number of segment, names by speaker. The last item of `done` is what undo takes back.
 *
 * @typedef {{ texts: Record<string, string>, names: Record<string, string>, done: Change[], undone: Change[] }} Corrections
 */

/** Changes that can be taken back. */
const LONGEST = 500;

/** @returns {Corrections} */
export function none() {
  return { texts: {}, names: {}, done: [], undone: [] };
}

/**
 * @param {Corrections} corrections
 * @param {"texts" | "names"} kind
 * @param {string | number} key
 * @param {string | null} value Null is the service's own.
 * @returns {Corrections}
 */
export function change(corrections, kind, key, value) {
  const before = corrections[kind][key] ?? null;
  if (before === value) return corrections;
  const made = { kind, key: String(key), before, after: value };
  return { ...put(corrections, made, value), done: [...corrections.done, made].slice(-LONGEST), undone: [] };
}

/**
 * @param {Corrections} corrections
 * @returns {Corrections}
 */
export function undo(corrections) {
  const last = corrections.done.at(-1);
  if (!last) return corrections;
  return {
    ...put(corrections, last, last.before),
    done: corrections.done.slice(0, -1),
    undone: [...corrections.undone, last],
  };
}

/**
 * @param {Corrections} corrections
 * @returns {Corrections}
 */
export function redo(corrections) {
  const last = corrections.undone.at(-1);
  if (!last) return corrections;
  return {
    ...put(corrections, last, last.after),
    done: [...corrections.done, last],
    undone: corrections.undone.slice(0, -1),
  };
}

/**
 * @param {Corrections} corrections
 * @param {Change} made
 * @param {string | null} value
 * @returns {Corrections}
 */
function put(corrections, made, value) {
  const values = { ...corrections[made.kind] };
  if (value === null) delete values[made.key];
  else values[made.key] = value;
  return { ...corrections, [made.kind]: values };
}

/**
 * The text of a segment as it was corrected.
 *
 * @param {Corrections} corrections
 * @param {Segment} segment
 * @param {number} number
 */
export function textOf(corrections, segment, number) {
  return corrections.texts[number] ?? segment.text;
}

/**
 * The name of a speaker: the given one, or a number, counted in the order in which they speak.
 *
 * @param {Corrections} corrections
 * @param {string[]} all All speakers of the transcript.
 * @param {string} speaker
 * @param {{ numbered: (number: number) => string, unknown: string }} words
 */
export function nameOf(corrections, all, speaker, words) {
  const given = corrections.names[speaker];
  if (given) return given;
  if (speaker === UNKNOWN) return words.unknown;
  return words.numbered(all.filter((other) => other !== UNKNOWN).indexOf(speaker) + 1);
}
