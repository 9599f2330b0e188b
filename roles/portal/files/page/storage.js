// What the page keeps in this browser (IndexedDB), shared by all tabs. Nothing else in the page opens the database.

/**
 * - `recordings`: one entry per item of the history, by id
 * - `audio`: their files, by id
 * - `pieces`: what the microphone gave so far, by [id, number]
 * - `transcripts`: what the services returned, by id
 * - `corrections`: what a person changed in them, by id; apart, because a transcript may have megabytes
 *
 * @typedef {"recordings" | "audio" | "pieces" | "transcripts" | "corrections"} Store
 */

/** @type {Store[]} */
const STORES = ["recordings", "audio", "pieces", "transcripts", "corrections"];

/** @type {Promise<IDBDatabase> | null} */
let opened = null;

/** @returns {Promise<IDBDatabase>} Raises DOMException where the browser stores nothing. */
export function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("speech-to-text", 1);
    request.onupgradeneeded = () => STORES.forEach((store) => request.result.createObjectStore(store));
    request.onsuccess = () => {
      // A newer version of the page, in another tab, may need to change the database.
      request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
  return opened;
}

/**
 * @template T
 * @param {Store} store
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T>} The result once the transaction is complete: what it wrote is stored then.
 */
async function within(store, mode, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, mode);
    const request = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error ?? request.error);
  });
}

/**
 * @param {Store} store
 * @param {IDBValidKey} key
 * @returns {Promise<any>}
 */
export function read(store, key) {
  return within(store, "readonly", (entries) => entries.get(key));
}

/**
 * @param {Store} store
 * @param {IDBValidKey | IDBKeyRange} [range]
 * @returns {Promise<any[]>}
 */
export function readAll(store, range) {
  return within(store, "readonly", (entries) => entries.getAll(range));
}

/**
 * @param {Store} store
 * @param {IDBValidKey} key
 * @param {any} value
 */
export function write(store, key, value) {
  return within(store, "readwrite", (entries) => entries.put(value, key));
}

/**
 * @param {Store} store
 * @param {IDBValidKey | IDBKeyRange} key
 */
export function remove(store, key) {
  return within(store, "readwrite", (entries) => entries.delete(key));
}

/**
 * Changes an entry in one transaction, so that two tabs lose nothing of each other.
 *
 * @param {Store} store
 * @param {IDBValidKey} key
 * @param {(value: any) => any} change Undefined leaves the entry as it is.
 * @returns {Promise<any>} The entry after the change, undefined if there is none.
 */
export async function update(store, key, change) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, "readwrite");
    const entries = transaction.objectStore(store);
    /** @type {any} */
    let value;
    const request = entries.get(key);
    request.onsuccess = () => {
      value = request.result === undefined ? undefined : (change(request.result) ?? request.result);
      if (value !== undefined) entries.put(value, key);
    };
    transaction.oncomplete = () => resolve(value);
    transaction.onabort = () => reject(transaction.error ?? request.error);
  });
}

/**
 * The keys of the pieces of one recording.
 *
 * @param {string} id
 */
export function piecesOf(id) {
  return IDBKeyRange.bound([id, 0], [id, Infinity]);
}
