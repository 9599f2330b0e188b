// Who spoke when: a bar per speaker, with the name to change.

import { h, svg } from "./dom.js";
import { percent } from "./formats.js";
import { language, t } from "./language.js";

/** @typedef {import("./transcript.js").Segment} Segment */

/** Colours of page.css; further speakers get them again. */
const COLOURS = 8;
/** Width of a bar in its own units. */
const WIDTH = 1000;

/** @param {number} number Of a speaker. */
export function colourOf(number) {
  return `speaker-${number % COLOURS}`;
}

export class SpeakersView {
  /** @type {Map<string, HTMLInputElement>} */
  #names = new Map();
  /** @type {SVGLineElement[]} */
  #marks = [];
  #length;

  /**
   * @param {Segment[]} segments
   * @param {string[]} speakers
   * @param {(speaker: string, name: string) => void} onRename
   * @param {(seconds: number) => void} onSeek
   */
  constructor(segments, speakers, onRename, onSeek) {
    this.#length = Math.max(1, ...segments.slice(-50).map(({ end }) => end));
    const total = segments.reduce((sum, { start, end }) => sum + end - start, 0) || 1;
    const rows = speakers.map((speaker, number) => {
      const own = segments.filter((segment) => segment.speaker === speaker);
      const share = own.reduce((sum, { start, end }) => sum + end - start, 0) / total;
      const name = h("input", {
        class: "name",
        maxlength: 80,
        autocomplete: "off",
        onchange: () => onRename(speaker, name.value.trim()),
      });
      this.#names.set(speaker, name);
      const spoke = h("span", { class: "faint" }, t("spoke", { percent: percent(share, language) }));
      return h("li", { class: `row ${colourOf(number)}` }, name, spoke, this.#bar(own, onSeek));
    });
    this.element = h("section", { class: "speakers", "aria-label": t("speakersHeading") }, h("ul", {}, ...rows));
  }

  /**
   * @param {Segment[]} segments
   * @param {(seconds: number) => void} onSeek
   */
  #bar(segments, onSeek) {
    const x = (/** @type {number} */ seconds) => ((seconds / this.#length) * WIDTH).toFixed(1);
    const path = segments
      .map(({ start, end }) => `M${x(start)} 0H${x(Math.max(end, start + this.#length / WIDTH))}V10H${x(start)}Z`)
      .join("");
    // The transcript has the same as text.
    const bar = svg("svg", {
      viewBox: `0 0 ${WIDTH} 10`,
      preserveAspectRatio: "none",
      class: "bar",
      "aria-hidden": "true",
    });
    const mark = svg("line", { x1: 0, x2: 0, y1: 0, y2: 10 });
    this.#marks.push(mark);
    bar.append(svg("path", { d: path }), mark);
    bar.addEventListener("click", (event) => {
      const { left, width } = bar.getBoundingClientRect();
      onSeek(((event.clientX - left) / width) * this.#length);
    });
    return bar;
  }

  /** @param {(speaker: string) => string} nameOf */
  showNames(nameOf) {
    for (const [speaker, input] of this.#names) {
      if (input !== document.activeElement) input.value = nameOf(speaker);
      input.setAttribute("aria-label", t("nameOfSpeaker", { speaker: nameOf(speaker) }));
    }
  }

  /** @param {number} seconds */
  showTime(seconds) {
    const x = String(Math.min(1, seconds / this.#length) * WIDTH);
    for (const mark of this.#marks) {
      mark.setAttribute("x1", x);
      mark.setAttribute("x2", x);
    }
  }
}
