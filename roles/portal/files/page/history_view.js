// The list of recordings with their states.

import { fill, h, say } from "./dom.js";
import { download } from "./download.js";
import { messageOf, problemText } from "./error_text.js";
import { fileName, size } from "./formats.js";
import { date, language, t } from "./language.js";
import { ProgressText } from "./progress_text.js";
import * as recordings from "./recordings.js";
import { listen } from "./signals.js";
import { replaceAudio } from "./sources.js";
import { cancel, erase, isUnfinished, retry } from "./work.js";

/** @typedef {import("./recordings.js").Recording} Recording */

/** Milliseconds between two updates of waiting times. */
const LOOK = 1000;

/**
 * @param {AbortSignal} until
 * @returns {HTMLElement}
 */
export function historyView(until) {
  const items = h("ul", { class: "history" });
  const nothing = h("p", { class: "faint" }, t("nothingYet"));
  const space = h("p", { class: "faint space" });
  const warning = h("p", { class: "problem", role: "alert" });
  /** @type {Map<string, Row>} */
  const rows = new Map();

  async function refresh() {
    const all = await recordings.list();
    const known = new Set(all.map(({ id }) => id));
    for (const id of rows.keys()) if (!known.has(id)) rows.delete(id);
    for (const recording of all) {
      const row = rows.get(recording.id) ?? new Row();
      rows.set(recording.id, row);
      row.show(recording);
    }
    const wanted = all.map(({ id }) => rows.get(id)?.element);
    // Moving an element takes the focus from it.
    if (wanted.length !== items.children.length || wanted.some((element, at) => element !== items.children[at])) {
      items.replaceChildren(...wanted.filter((element) => element !== undefined));
    }
    nothing.hidden = all.length > 0;
    say(warning, all.some(({ id }) => recordings.isUnstored(id)) ? t("unstored") : "");
    warning.hidden = !warning.textContent;
    showSpace(space, all);
  }

  listen((signal) => {
    if (signal.type === "stored") refresh();
    else rows.get(signal.id)?.take(signal.live ?? null);
  }, until);
  const timer = setInterval(() => rows.forEach((row) => row.tick()), LOOK);
  until.addEventListener("abort", () => clearInterval(timer));
  refresh();
  return h(
    "section",
    { class: "recent", "aria-label": t("recent") },
    h("h2", {}, t("recent")),
    warning,
    nothing,
    items,
    space,
  );
}

/**
 * @param {HTMLElement} element
 * @param {Recording[]} all
 */
function showSpace(element, all) {
  const bytes = all.reduce((sum, recording) => sum + (recording.kept ? recording.bytes : 0), 0);
  element.hidden = bytes === 0;
  const forget = async () => confirm(t("forgetAudioAsk")) && recordings.forgetAudio();
  fill(
    element,
    `${t("space", { size: size(bytes, language) })} `,
    h("button", { type: "button", class: "link", onclick: forget }, t("forgetAudio")),
  );
}

/** One recording of the list. Its parts are replaced only when its state changes, so that the focus stays where it is. */
class Row {
  /** @type {Recording | undefined} */
  #recording;
  #progress = new ProgressText();
  #link = h("a", { class: "title" });
  #about = h("span", { class: "faint" });
  #state = h("p", { class: "progress" });
  #bar = h("progress", { max: 1 });
  #problem = h("p", { class: "problem", role: "alert" });
  #actions = h("div", { class: "actions" });
  #shown = "";

  element = h(
    "li",
    {},
    h("div", { class: "row" }, this.#link, this.#about),
    this.#state,
    this.#bar,
    this.#problem,
    this.#actions,
  );

  /** @param {Recording} recording */
  show(recording) {
    this.#recording = recording;
    const { id, title, created, bytes, state, problem, kept, recovered } = recording;
    say(this.#link, title);
    if (state === "done") this.#link.href = `#/transcript/${id}`;
    else this.#link.removeAttribute("href");
    say(this.#about, [date(created), bytes ? size(bytes, language) : ""].filter(Boolean).join(" · "));
    const rescued = recovered && state === "stored" ? t("recovered") : "";
    say(this.#problem, problem ? problemText(problem) : rescued);
    this.#problem.hidden = !this.#problem.textContent;
    this.tick();
    const now = `${state} ${problem?.code} ${kept}`;
    if (now !== this.#shown) fill(this.#actions, ...this.#buttons(recording));
    this.#shown = now;
  }

  /** @param {import("./work.js").Live | null} live */
  take(live) {
    this.#progress.take(live);
    this.tick();
  }

  tick() {
    if (!this.#recording) return;
    const { text, share } = this.#progress.of(this.#recording);
    say(this.#state, text);
    this.#bar.hidden = !isUnfinished(this.#recording);
    this.#bar.setAttribute("aria-label", text);
    if (share === null) this.#bar.removeAttribute("value");
    else this.#bar.value = share;
  }

  /** @param {Recording} recording */
  #buttons(recording) {
    const { state, problem, fileName: name, title, type } = recording;
    const button = (/** @type {import("./english.js").Key} */ key, /** @type {() => unknown} */ action) =>
      h(
        "button",
        { type: "button", "aria-label": `${t(key)}: ${title}`, onclick: () => this.#attempt(action) },
        t(key),
      );
    if (state === "recording") return [];
    if (isUnfinished(recording)) return [button("cancel", () => cancel(recording))];
    const again = state !== "done" && problem?.code !== "audioGone";
    const extension = name.includes(".") ? name.split(".").at(-1) : type.split("/").at(-1);
    const save = async () => {
      const audio = await recordings.audioOf(recording.id);
      if (audio) download(audio, fileName(title, extension ?? "audio"));
    };
    return [
      again && button("retry", () => void retry(recording)),
      problem?.code === "audioGone" && fileButton(recording),
      recording.kept && state !== "done" && button("download", save),
      button("remove", async () => confirm(t("removeAsk", { title })) && (await erase(recording))),
    ];
  }

  /** @param {() => unknown} action */
  async #attempt(action) {
    try {
      await action();
    } catch (error) {
      this.#problem.hidden = false;
      say(this.#problem, t("error.notDeleted", { message: messageOf(error) }));
    }
  }
}

/** @param {Recording} recording */
function fileButton(recording) {
  const choose = async (/** @type {Event} */ event) => {
    const file = /** @type {HTMLInputElement} */ (event.target).files?.[0];
    if (!file) return;
    await replaceAudio(recording, file);
    retry(recording);
  };
  return h(
    "label",
    { class: "button" },
    t("chooseAgain"),
    h("input", { type: "file", class: "unseen", onchange: choose }),
  );
}
