// Entries that the browser has no space for stay in this tab until there is space again, so that a full disk stops no work.

import * as storage from "./storage.js";

/** What can be held here; recordings.js does the same for sound. @typedef {"transcripts" | "corrections" | "recordings"} Store */

/**
 * In the order in which they are stored: the history must not claim what is not stored yet. If the tab is closed, the next one finds
 * the job there, and gets its result again.
 *
 * @type {Store[]}
 */
const ORDER = ["transcripts", "corrections", "recordings"];

/** By id. @type {Record<Store, Map<string, any>>} */
const held = { transcripts: new Map(), corrections: new Map(), recordings: new Map() };

/**
 * Whether anything, or anything of one recording, exists in this tab only.
 *
 * @param {string} [id]
 */
export function isHolding(id) {
  return ORDER.some((store) => (id === undefined ? held[store].size > 0 : held[store].has(id)));
}

/** @param {unknown} error */
function isFull(error) {
  return error instanceof DOMException && error.name === "QuotaExceededError";
}

/**
 * @param {Store} store
 * @param {string} id
 */
function mustWait(store, id) {
  return ORDER.slice(0, ORDER.indexOf(store)).some((earlier) => held[earlier].has(id));
}

/**
 * @param {Store} store
 * @param {string} id
 * @returns {Promise<any>}
 */
export async function read(store, id) {
  return held[store].has(id) ? held[store].get(id) : storage.read(store, id);
}

/** @returns {Promise<any[]>} All recordings. */
export async function readRecordings() {
  const stored = await storage.readAll("recordings");
  const all = new Map(stored.map((recording) => [recording.id, recording]));
  for (const [id, recording] of held.recordings) all.set(id, recording);
  return [...all.values()];
}

/**
 * @param {Store} store
 * @param {string} id
 * @param {any} value
 */
export async function write(store, id, value) {
  held[store].set(id, value);
  await keep(store, id);
}

/**
 * Stores an entry that is held.
 *
 * @param {Store} store
 * @param {string} id
 */
async function keep(store, id) {
  if (mustWait(store, id)) return;
  const value = held[store].get(id);
  try {
    await storage.write(store, id, value);
  } catch (error) {
    if (isFull(error)) return;
    held[store].delete(id);
    throw error;
  }
  // Unless it was changed meanwhile.
  if (held[store].get(id) === value) held[store].delete(id);
}

/** Stores what there is space for by now. */
export async function keepAll() {
  for (const store of ORDER) for (const id of [...held[store].keys()]) await keep(store, id);
}

/**
 * @param {Store} store
 * @param {string} id
 * @param {(value: any) => any} change Undefined leaves the entry as it is.
 * @returns {Promise<any>} The entry after the change, undefined if there is none.
 */
export async function update(store, id, change) {
  if (mustWait(store, id) && !held[store].has(id)) {
    const stored = await storage.read(store, id);
    if (stored === undefined) return undefined;
    if (!held[store].has(id)) held[store].set(id, stored);
  }
  if (held[store].has(id)) {
    const before = held[store].get(id);
    const value = change(before) ?? before;
    await write(store, id, value);
    return value;
  }
  /** @type {any} */
  let value;
  try {
    return await storage.update(store, id, (before) => (value = change(before) ?? before));
  } catch (error) {
    if (!isFull(error)) throw error;
    held[store].set(id, value);
    return value;
  }
}

/**
 * @param {Store} store
 * @param {string} id
 */
export function remove(store, id) {
  held[store].delete(id);
  return storage.remove(store, id);
}
