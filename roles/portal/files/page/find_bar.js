// Finds text in the transcript, and marks it without changing the document (CSS Custom Highlight API).

import { find } from "./finding.js";
import { h, say } from "./dom.js";
import { t } from "./language.js";

/** @typedef {import("./finding.js").Match} Match */

/** Milliseconds after the last key, so that typing is not held up. */
const REST = 120;
/** Matches that are marked at most; all can be visited. */
const MOST_MARKED = 1000;

/** Whether the browser can mark ranges. Without it, the sentence with a match is selected. */
const canMark = "highlights" in CSS;

export class FindBar {
  /** @type {Match[]} */
  #matches = [];
  #at = -1;
  #field = h("input", {
    type: "search",
    "aria-label": t("find"),
    placeholder: t("find"),
    oninput: () => this.#later(),
    onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
  });
  #count = h("span", { class: "faint", role: "status" });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  element = h(
    "search",
    { class: "row find" },
    this.#field,
    h("button", { type: "button", "aria-label": t("previous"), onclick: () => this.#go(-1) }, "↑"),
    h("button", { type: "button", "aria-label": t("next"), onclick: () => this.#go(1) }, "↓"),
    this.#count,
  );

  /**
   * @param {import("./text_view.js").TextView} view
   * @param {AbortSignal} until
   */
  constructor(view, until) {
    this.view = view;
    until.addEventListener("abort", () => this.#clear());
  }

  focus() {
    this.#field.focus();
  }

  #later() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#search(), REST);
  }

  #search() {
    clearTimeout(this.#timer);
    this.#matches = find(this.view.texts, this.#field.value);
    this.#at = -1;
    this.#clear();
    if (canMark)
      CSS.highlights.set(
        "found",
        new Highlight(...this.#matches.slice(0, MOST_MARKED).flatMap((match) => this.#range(match))),
      );
    if (this.#matches.length) this.#go(1);
    else say(this.#count, this.#field.value.trim() ? t("noMatch") : "");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Enter") {
      if (this.#at < 0) this.#search();
      else this.#go(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") this.view.select(this.#matches[this.#at]?.segment ?? this.view.selected);
    else return;
    event.preventDefault();
  }

  /** @param {1 | -1} step */
  #go(step) {
    const count = this.#matches.length;
    if (!count) return;
    this.#at = (this.#at + step + count) % count;
    const match = this.#matches[this.#at];
    say(this.#count, t("matches", { at: this.#at + 1, count }));
    const ranges = this.#range(match);
    if (canMark && ranges.length) CSS.highlights.set("found-now", new Highlight(...ranges));
    this.view.spanOf(match.segment).scrollIntoView({ block: "center" });
  }

  #clear() {
    if (!canMark) return;
    CSS.highlights.delete("found");
    CSS.highlights.delete("found-now");
  }

  /**
   * @param {Match} match
   * @returns {Range[]} One, or none where the text has changed since.
   */
  #range({ segment, start, end }) {
    const range = new Range();
    const nodes = document.createTreeWalker(this.view.spanOf(segment), NodeFilter.SHOW_TEXT);
    let before = 0;
    let begun = false;
    for (let node = nodes.nextNode(); node; node = nodes.nextNode()) {
      const after = before + (node.nodeValue ?? "").length;
      if (!begun && start < after) {
        range.setStart(node, start - before);
        begun = true;
      }
      if (begun && end <= after) {
        range.setEnd(node, end - before);
        return [range];
      }
      before = after;
    }
    return [];
  }
}
