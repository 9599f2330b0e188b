// HTTP with the services. They are reached below the page's own origin, so the browser's sign-in covers them.

/** @typedef {{ status: number, body: any, retryAfter: number | null }} Answer */
/**
 * A job as the server shows it; times are in seconds since the epoch.
 *
 * @typedef {{
 *   id: string,
 *   status: "queued" | "in_progress" | "completed" | "failed" | "cancelled",
 *   stage?: "decoding" | "speakers" | "text" | "alignment",
 *   progress: number,
 *   model: string,
 *   created_at: number,
 *   error?: { message: string, code: string | null },
 *   result?: any,
 * }} Job
 */

/** A request that failed. `status` is 0 without an answer; `retryAfter` is in seconds, null if the server does not ask to retry. */
export class RequestError extends Error {
  /**
   * @param {number} status
   * @param {string} code
   * @param {string} message
   * @param {number | null} [retryAfter]
   */
  constructor(status, code, message, retryAfter = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * Absolute, because fetch refuses an address relative to a page's with a user and password in it.
 *
 * @param {string} path
 */
function address(path) {
  return new URL(path, location.origin).href;
}

/** @param {string | null} value Seconds; nginx and the services send no dates. */
function seconds(value) {
  return value !== null && /^\d+$/.test(value) ? Number(value) : null;
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/**
 * @param {Answer} answer
 * @returns {RequestError}
 */
function refusal({ status, body, retryAfter }) {
  const error = body?.error ?? {};
  return new RequestError(status, String(error.code ?? ""), String(error.message ?? `HTTP ${status}`), retryAfter);
}

/**
 * @param {string} method
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>} The body; raises RequestError.
 */
async function request(method, path, signal) {
  /** @type {Answer} */
  let answer;
  try {
    const response = await fetch(address(path), {
      method,
      cache: "no-store",
      headers: { Accept: "application/json" },
      signal: signal ?? null,
    });
    answer = {
      status: response.status,
      body: parsed(await response.text()),
      retryAfter: seconds(response.headers.get("Retry-After")),
    };
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RequestError(0, "network", "");
  }
  if (answer.status >= 400) throw refusal(answer);
  return answer.body;
}

/**
 * @param {string} service
 * @param {string} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<Job>}
 */
export function job(service, id, signal) {
  return request("GET", `/services/${service}/jobs/${encodeURIComponent(id)}`, signal);
}

/**
 * @param {string} service
 * @returns {Promise<Job[]>}
 */
export async function jobs(service) {
  return (await request("GET", `/services/${service}/jobs`)).data ?? [];
}

/**
 * Cancels a job that is not finished, and deletes it: the first request stops its work, the second one deletes it.
 *
 * @param {string} service
 * @param {string} id
 */
export async function deleteJob(service, id) {
  try {
    const before = await request("DELETE", `/services/${service}/jobs/${encodeURIComponent(id)}`);
    if (before?.status === "cancelled") await request("DELETE", `/services/${service}/jobs/${encodeURIComponent(id)}`);
  } catch (error) {
    if (!(error instanceof RequestError && error.code === "job_not_found")) throw error;
  }
}

/**
 * The states of the services by host; reading them starts none. Empty where nobody knows them.
 *
 * @returns {Promise<Record<string, string>>}
 */
export async function states() {
  try {
    return await request("GET", "/status.json");
  } catch {
    return {};
  }
}

/**
 * Sends a form. XMLHttpRequest, because fetch does not report the progress of an upload.
 *
 * @param {string} path
 * @param {FormData} form
 * @param {(sent: number, total: number) => void} onProgress Bytes.
 * @param {AbortSignal} signal
 * @returns {Promise<Answer>} An answer below 400; raises RequestError.
 */
export function send(path, form, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(path));
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Prefer", "respond-async");
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    request.onload = () => {
      const answer = {
        status: request.status,
        body: parsed(request.responseText),
        retryAfter: seconds(request.getResponseHeader("Retry-After")),
      };
      if (answer.status < 400) resolve(answer);
      else reject(refusal(answer));
    };
    request.onerror = () => reject(new RequestError(0, "network", ""));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
