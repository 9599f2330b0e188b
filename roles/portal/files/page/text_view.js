// The transcript in a reading column: paragraphs with their time and speaker, sentences that can be played and corrected.

import { fill, h, say } from "./dom.js";
import { clock } from "./formats.js";
import { t } from "./language.js";
import { SegmentEditor } from "./segment_editor.js";
import { colourOf } from "./speakers_view.js";
import { paragraphs, pieces } from "./transcript.js";

/** @typedef {import("./transcript.js").Segment} Segment */
/**
 * @typedef {{
 *   play: (number: number) => void,
 *   correct: (number: number, text: string) => Promise<void>,
 *   textOf: (number: number) => string,
 *   nameOf: (speaker: string) => string,
 * }} Model
 */

/** Milliseconds after which the text follows the player again once the person has scrolled. */
const FOLLOW_AGAIN = 4000;

export class TextView {
  #segments;
  #model;
  /** @type {HTMLElement[]} */
  #spans;
  /** @type {{ element: HTMLElement, speaker: string }[]} */
  #names = [];
  #current = -1;
  #scrolled = 0;
  /** @type {SegmentEditor | null} */
  #editor = null;

  /**
   * @param {Segment[]} segments
   * @param {string[]} speakers
   * @param {Model} model
   * @param {AbortSignal} until
   */
  constructor(segments, speakers, model, until) {
    this.#segments = segments;
    this.#model = model;
    this.#spans = segments.map((_, number) => h("span", { class: "segment", "data-number": number, tabindex: -1 }));
    this.#spans.forEach((_, number) => this.#draw(number));
    const turns = paragraphs(segments).map((numbers) => this.#paragraph(numbers, speakers));
    this.element = h(
      "section",
      {
        class: "transcript",
        tabindex: 0,
        "aria-label": t("transcript"),
        onclick: (/** @type {MouseEvent} */ event) => this.#clicked(event),
      },
      ...turns,
    );
    if (segments.length === 0) fill(this.element, h("p", {}, t("empty")));
    for (const event of ["wheel", "touchmove"])
      addEventListener(event, () => (this.#scrolled = Date.now()), { signal: until, passive: true });
    document.addEventListener("visibilitychange", () => document.hidden && this.#editor?.save(), { signal: until });
    until.addEventListener("abort", () => this.#editor?.save());
  }

  /**
   * @param {number[]} numbers
   * @param {string[]} speakers
   */
  #paragraph(numbers, speakers) {
    const { start, speaker } = this.#segments[numbers[0]];
    const time = h(
      "button",
      { type: "button", class: "time", "data-number": numbers[0], "aria-label": t("playFrom", { time: clock(start) }) },
      clock(start),
    );
    const name = speaker === null ? null : h("strong", { class: "speaker" });
    if (name && speaker !== null) this.#names.push({ element: name, speaker });
    const text = h(
      "p",
      {},
      ...numbers.flatMap((number, at) => (at ? [" ", this.#spans[number]] : [this.#spans[number]])),
    );
    return h(
      "div",
      { class: speaker === null ? "turn" : `turn ${colourOf(speakers.indexOf(speaker))}` },
      h("div", { class: "head" }, time, name),
      text,
    );
  }

  /** @param {number} number */
  #draw(number) {
    const segment = this.#segments[number];
    const text = this.#model.textOf(number);
    const parts = text === segment.text ? pieces(segment) : [{ text, doubtful: false }];
    fill(
      this.#spans[number],
      ...parts.map((part) => (part.doubtful ? h("u", { class: "doubtful" }, part.text) : part.text)),
    );
  }

  /** Shows the present texts and names. */
  update() {
    for (const { element, speaker } of this.#names) say(element, this.#model.nameOf(speaker));
    this.#spans.forEach((span, number) => {
      if (span.textContent !== this.#model.textOf(number) && this.#editor?.number !== number) this.#draw(number);
    });
  }

  /** @param {MouseEvent} event */
  #clicked(event) {
    const target = /** @type {Element} */ (event.target);
    const number = numberAt(target);
    // Text that is being selected, to copy it, is not to be played.
    if (number === null || (getSelection()?.toString() && !target.closest("button"))) return;
    this.select(number);
    this.#model.play(number);
  }

  /** The number of the sentence that has the focus, else of the one that plays. */
  get selected() {
    return numberAt(document.activeElement) ?? Math.max(0, this.#current);
  }

  /**
   * From the sentence that has the focus to another one; else to the one that plays.
   *
   * @param {1 | -1} step
   */
  move(step) {
    const number = numberAt(document.activeElement);
    this.select(number === null ? this.selected : number + step);
  }

  /** @param {number} number */
  select(number) {
    const span = this.#spans[Math.min(Math.max(0, number), this.#spans.length - 1)];
    span?.focus({ preventScroll: true });
    span?.scrollIntoView({ block: "nearest" });
  }

  /**
   * Marks the sentence that is being played, and keeps it in sight.
   *
   * @param {number} number -1 for none.
   */
  mark(number) {
    if (number === this.#current) return;
    this.#spans[this.#current]?.classList.remove("current");
    this.#spans[number]?.classList.add("current");
    this.#current = number;
    if (Date.now() - this.#scrolled > FOLLOW_AGAIN && !this.#editor)
      this.#spans[number]?.scrollIntoView({ block: "nearest" });
  }

  /** @param {number} number */
  edit(number) {
    const span = this.#spans[number];
    if (!span || this.#editor) return;
    const done = () => {
      // Whoever left the field for another one stays there.
      const isHere = span.contains(document.activeElement);
      this.#editor = null;
      this.#draw(number);
      if (isHere) this.select(number);
    };
    this.#editor = new SegmentEditor(
      span,
      number,
      this.#model.textOf(number),
      (text) => this.#model.correct(number, text),
      done,
    );
  }

  /**
   * The texts as they are shown, for the search.
   *
   * @returns {string[]}
   */
  get texts() {
    return this.#segments.map((_, number) => this.#model.textOf(number));
  }

  /** @param {number} number */
  spanOf(number) {
    return this.#spans[number];
  }
}

/** @param {Element | null} element */
function numberAt(element) {
  const found = element?.closest(".transcript [data-number]");
  return found instanceof HTMLElement && !element?.closest(".editor") ? Number(found.dataset.number) : null;
}
