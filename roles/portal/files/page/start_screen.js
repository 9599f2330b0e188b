// Where recordings come in, and where earlier ones are.

import { services, textService } from "./configuration.js";
import { fill, h } from "./dom.js";
import { size } from "./formats.js";
import { historyView } from "./history_view.js";
import { language, t } from "./language.js";
import { optionsForm } from "./options_form.js";
import { recorderView } from "./recorder_view.js";
import { serverJobsView } from "./server_jobs_view.js";
import { take } from "./sources.js";

/**
 * @param {HTMLElement} root
 * @param {AbortSignal} until
 */
export function startScreen(root, until) {
  document.title = t("title");
  if (!textService) return fill(root, h("p", {}, t("noService")));
  const form = optionsForm();
  const messages = h("div", { class: "messages", role: "alert" });
  const complain = (/** @type {string[]} */ ...texts) =>
    fill(messages, ...texts.map((text) => h("p", { class: "problem" }, text)));

  async function takeFiles(/** @type {Iterable<File>} */ files) {
    const { refusals, unkept } = await take(files, form.options(), form.keep());
    const said = refusals.map(({ key, name, bytes, limit }) =>
      t(key, { name, size: size(bytes, language), limit: size(limit, language) }),
    );
    complain(...said, ...(unkept ? [t("noSpace")] : []));
  }

  const recorder = recorderView(form.options, complain, until);
  const intake = h(
    "section",
    { class: "card intake", "aria-label": t("new") },
    dropZone(takeFiles, recorder.button),
    recorder.panel,
    messages,
    form.element,
  );
  fill(root, h("div", { class: "columns" }, intake, h("div", {}, historyView(until), serverJobsView())));
}

/**
 * @param {(files: Iterable<File>) => void} takeFiles
 * @param {HTMLElement} record
 */
function dropZone(takeFiles, record) {
  const input = h("input", {
    type: "file",
    id: "files",
    class: "unseen",
    multiple: true,
    onchange: () => {
      takeFiles([...(input.files ?? [])]);
      // So that the same file can be chosen again.
      input.value = "";
    },
  });
  const limit = Math.min(...services.map((service) => service.limit));
  const zone = h(
    "div",
    { class: "drop" },
    h("p", { class: "big" }, t("drop")),
    h("div", { class: "row" }, input, h("label", { for: "files", class: "button main" }, t("choose")), record),
    h("p", { class: "faint" }, t("limit", { size: size(limit, language) })),
  );
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    takeFiles([...(event.dataTransfer?.files ?? [])]);
  });
  return zone;
}
