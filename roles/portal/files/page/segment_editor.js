// Corrects the text of one sentence in its place. Leaving the field saves; Escape discards.

import { fill, h } from "./dom.js";
import { t } from "./language.js";

export class SegmentEditor {
  #isOpen = true;
  #field;
  #text;
  #correct;
  #done;

  /**
   * @param {HTMLElement} span Its content is replaced until `done` is called.
   * @param {number} number
   * @param {string} text
   * @param {(text: string) => Promise<void>} correct
   * @param {() => void} done
   */
  constructor(span, number, text, correct, done) {
    this.number = number;
    this.#text = text;
    this.#correct = correct;
    this.#done = done;
    this.#field = h("textarea", {
      "aria-label": t("correct"),
      rows: 1,
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
      onblur: () => this.save(),
    });
    this.#field.value = text;
    // A pressed button would take the focus from the field, which saves, before it is clicked.
    const hold = (/** @type {Event} */ event) => event.preventDefault();
    const buttons = h(
      "span",
      { class: "row", onmousedown: hold },
      h("button", { type: "button", onclick: () => this.save() }, t("save")),
      h("button", { type: "button", onclick: () => this.#close() }, t("discard")),
    );
    fill(span, h("span", { class: "editor" }, this.#field, buttons));
    this.#field.focus();
    this.#field.setSelectionRange(text.length, text.length);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Escape") this.#close();
    else if (event.key === "Enter" && !event.isComposing) this.save();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  async save() {
    if (!this.#isOpen) return;
    const text = this.#field.value.trim().replace(/\s*\n\s*/g, " ");
    this.#isOpen = false;
    if (text !== this.#text) await this.#correct(text);
    this.#done();
  }

  #close() {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#done();
  }
}
