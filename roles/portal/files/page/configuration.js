// What this server has: index.html holds it in `data-services`.

/**
 * A service: `path` is its name below /services/, `host` its own, `limit` the largest upload in bytes, and `speakers` says whether it
 * can tell speakers apart.
 *
 * @typedef {{ path: string, host: string, title: string, limit: number, speakers: boolean }} Service
 */

/** @type {Service[]} */
export const services = JSON.parse(document.body.dataset.services ?? "[]");

/** @param {string} path */
export function serviceAt(path) {
  return services.find((service) => service.path === path) ?? null;
}

/** The service that tells speakers apart, null if there is none. */
export const speakerService = services.find((service) => service.speakers) ?? null;

/** The service for text alone: one that does nothing else is faster. */
export const textService = services.find((service) => !service.speakers) ?? services[0] ?? null;
