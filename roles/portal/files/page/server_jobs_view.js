// Jobs that the server has and this browser does not know: sent from another browser, or by a program. Nothing is started for them unawares.

import { services } from "./configuration.js";
import { fill, h } from "./dom.js";
import { messageOf } from "./error_text.js";
import { percent } from "./formats.js";
import { date, language, t } from "./language.js";
import * as recordings from "./recordings.js";
import { deleteJob, jobs, states } from "./requests.js";
import { adopt } from "./sources.js";

/** @typedef {import("./configuration.js").Service} Service */

/** @returns {HTMLElement} */
export function serverJobsView() {
  const parts = services.map(() => h("div", { class: "jobs" }));
  const element = h(
    "details",
    { class: "server-jobs", ontoggle: look },
    h("summary", {}, t("onServer")),
    h("p", { class: "faint" }, t("onServerHint")),
    ...parts,
  );

  async function look() {
    if (!element.open) return;
    const known = await states();
    services.forEach((service, number) => {
      const state = known[service.host];
      if (state === "ready" || state === "draining") list(service, parts[number]);
      else {
        const find = () => list(service, parts[number]);
        fill(
          parts[number],
          h("p", {}, t("asleepJobs", { service: service.title })),
          h("button", { type: "button", onclick: find }, t("lookUp")),
        );
      }
    });
  }

  return element;
}

/**
 * @param {Service} service
 * @param {HTMLElement} part
 */
async function list(service, part) {
  const heading = h("h3", {}, service.title);
  fill(part, heading, h("p", { role: "status" }, t("loading")));
  try {
    const here = new Set((await recordings.list()).map(({ job }) => job));
    const found = (await jobs(service.path)).filter(({ id }) => !here.has(id));
    const items = found.map((job) => item(service, job, () => list(service, part)));
    fill(part, heading, items.length ? h("ul", {}, ...items) : h("p", {}, t("noJobs")));
  } catch (error) {
    fill(
      part,
      heading,
      h("p", { class: "problem", role: "alert" }, messageOf(error)),
      h("button", { type: "button", onclick: () => list(service, part) }, t("retry")),
    );
  }
}

/** @type {Record<import("./requests.js").Job["status"], import("./english.js").Key>} */
const STATES = {
  queued: "state.queued",
  in_progress: "state.working",
  completed: "state.done",
  failed: "state.failed",
  cancelled: "state.cancelled",
};

/**
 * @param {Service} service
 * @param {import("./requests.js").Job} job
 * @param {() => void} changed
 */
function item(service, job, changed) {
  const title = t("jobTitle", { date: date(job.created_at * 1000) });
  const state = t(STATES[job.status]) + (job.status === "in_progress" ? `, ${percent(job.progress, language)}` : "");
  const open = async () => {
    await adopt(service.path, job, title);
    changed();
  };
  const remove = async () => {
    if (!confirm(t("removeAsk", { title }))) return;
    await deleteJob(service.path, job.id);
    changed();
  };
  const opens = job.status === "completed" || job.status === "in_progress" || job.status === "queued";
  return h(
    "li",
    { class: "row" },
    h("span", {}, title),
    h("span", { class: "faint" }, `${job.model} · ${state}`),
    opens && h("button", { type: "button", "aria-label": `${t("open")}: ${title}`, onclick: open }, t("open")),
    h("button", { type: "button", "aria-label": `${t("remove")}: ${title}`, onclick: remove }, t("remove")),
  );
}
