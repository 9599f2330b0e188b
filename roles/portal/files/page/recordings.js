// The history: recordings, where each stands, and its file where the browser keeps it.

import * as corrections from "./corrections.js";
import { announce } from "./signals.js";
import * as storage from "./storage.js";
import * as unstored from "./unstored.js";

/** What the person chose. @typedef {{ speakers: boolean, language: string, count: number | null, words: string }} Options */
/** @typedef {"recording" | "stored" | "waiting" | "sending" | "queued" | "working" | "done" | "failed" | "cancelled"} State */
/** `code` is the end of a key of english.js, `error.…`. @typedef {{ code: string, message: string }} Problem */
/**
 * An entry of the history. `created` is in milliseconds since the epoch; `kept` says whether the browser keeps the file.
 *
 * @typedef {{
 *   id: string,
 *   title: string,
 *   fileName: string,
 *   created: number,
 *   bytes: number,
 *   type: string,
 *   state: State,
 *   options: Options,
 *   service: string,
 *   job: string | null,
 *   problem: Problem | null,
 *   kept: boolean,
 *   recovered?: boolean,
 * }} Recording
 */
/** Files that the browser did not keep, while this page is open. @type {Map<string, Blob>} */
const unkept = new Map();
/** Those among them that exist nowhere else: the person chose no file, but spoke. @type {Set<string>} */
const irreplaceable = new Set();

/** Whether closing the page would lose something. */
export function isAtRisk() {
  return unstored.isHolding() || irreplaceable.size > 0;
}

/** @returns {Promise<Recording[]>} The newest first. */
export async function list() {
  const all = await unstored.readRecordings();
  return all.sort((one, other) => other.created - one.created);
}

/**
 * @param {string} id
 * @returns {Promise<Recording | undefined>}
 */
export function get(id) {
  return unstored.read("recordings", id);
}

/**
 * @param {Omit<Recording, "id" | "created" | "job" | "problem"> & { job?: string }} about
 * @returns {Promise<Recording>}
 */
export async function add(about) {
  const recording = { job: null, problem: null, ...about, id: crypto.randomUUID(), created: Date.now() };
  await unstored.write("recordings", recording.id, recording);
  announce({ type: "stored", id: recording.id });
  return recording;
}

/**
 * @param {string} id
 * @param {Partial<Recording>} changes
 * @param {State[]} [from] Only if it is in one of these states.
 * @returns {Promise<Recording | undefined>} Undefined if it was deleted.
 */
export async function change(id, changes, from) {
  const changed = await unstored.update("recordings", id, (recording) =>
    !from || from.includes(recording.state) ? { ...recording, ...changes } : recording,
  );
  announce({ type: "stored", id });
  return changed;
}

/**
 * Keeps a file as long as the page is open, and in the browser if that is wanted and there is space.
 *
 * @param {string} id
 * @param {Blob} audio
 * @param {boolean} keep
 * @returns {Promise<boolean>} Whether the browser keeps it.
 */
export async function putAudio(id, audio, keep) {
  unkept.set(id, audio);
  if (!keep) return false;
  try {
    await storage.write("audio", id, audio);
  } catch (error) {
    if (error instanceof DOMException) return false;
    throw error;
  }
  unkept.delete(id);
  return true;
}

/**
 * Keeps a recording from the microphone that the browser has no space for as long as the page is open.
 *
 * @param {string} id
 * @param {Blob} audio
 */
export function holdAudio(id, audio) {
  unkept.set(id, audio);
  irreplaceable.add(id);
}

/**
 * Adds a second of sound to a recording from the microphone.
 *
 * @param {string} id
 * @param {number} number
 * @param {Blob} piece
 */
export async function putPiece(id, number, piece) {
  await storage.write("pieces", [id, number], await piece.arrayBuffer());
}

/** @param {string} id */
export function removePieces(id) {
  return storage.remove("pieces", storage.piecesOf(id));
}

/**
 * The file of a recording, or its pieces in one.
 *
 * @param {string} id
 * @returns {Promise<Blob | undefined>}
 */
export async function audioOf(id) {
  const file = unkept.get(id) ?? (await storage.read("audio", id));
  if (file) return file;
  const pieces = await storage.readAll("pieces", storage.piecesOf(id));
  return pieces.length ? new Blob(pieces, { type: (await get(id))?.type ?? "" }) : undefined;
}

/** Deletes the files of all finished recordings. */
export async function forgetAudio() {
  for (const { id, state } of await list()) {
    if (state !== "done") continue;
    await removeAudio(id);
    await change(id, { kept: false });
  }
  await unstored.keepAll();
}

/** @param {string} id */
async function removeAudio(id) {
  unkept.delete(id);
  irreplaceable.delete(id);
  await storage.remove("audio", id);
  await removePieces(id);
}

/** @param {string} id */
export async function remove(id) {
  await removeAudio(id);
  await unstored.remove("transcripts", id);
  await unstored.remove("corrections", id);
  await unstored.remove("recordings", id);
  await unstored.keepAll();
  announce({ type: "stored", id });
}

/**
 * @param {string} id
 * @param {import("./transcript.js").Transcript} transcript
 */
export async function putTranscript(id, transcript) {
  await unstored.write("transcripts", id, transcript);
  await unstored.write("corrections", id, corrections.none());
}

/**
 * @param {string} id
 * @returns {Promise<import("./transcript.js").Transcript | undefined>}
 */
export function transcriptOf(id) {
  return unstored.read("transcripts", id);
}

/**
 * @param {string} id
 * @returns {Promise<corrections.Corrections | undefined>}
 */
export function correctionsOf(id) {
  return unstored.read("corrections", id);
}

/**
 * @param {string} id
 * @param {(before: corrections.Corrections) => corrections.Corrections} change
 * @returns {Promise<corrections.Corrections | undefined>} Undefined if it was deleted.
 */
export async function correct(id, change) {
  const corrected = await unstored.update("corrections", id, change);
  announce({ type: "stored", id });
  return corrected;
}

/**
 * Whether the browser has no space for a transcript or its corrections.
 *
 * @param {string} id
 */
export function isUnstored(id) {
  return unstored.isHolding(id);
}
