// Plays the recording of a transcript.

import { fill, h, say } from "./dom.js";
import { clock } from "./formats.js";
import { t } from "./language.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3];
/** Later than any recording ends, in seconds: going there makes a browser find out the length of a file that does not state it. */
const BEYOND = 1e7;

export class Player {
  #audio = new Audio();
  #toggle = h("button", { type: "button", class: "main", onclick: () => this.toggle() }, t("play"));
  #time = h("span", { class: "time" });
  #position = h("input", {
    type: "range",
    min: 0,
    max: 0,
    step: 0.1,
    value: 0,
    "aria-label": t("position"),
    oninput: () => this.seek(Number(this.#position.value)),
  });
  #speed = h(
    "select",
    { "aria-label": t("speed"), onchange: () => (this.#audio.playbackRate = Number(this.#speed.value)) },
    ...SPEEDS.map((speed) => h("option", { value: speed, selected: speed === 1 }, `${speed}×`)),
  );
  #message = h("p", { role: "status", hidden: true });
  #controls = h("div", { class: "row controls" }, this.#toggle, this.#position, this.#time, this.#speed);
  #length = 0;
  #measuring = false;

  element = h("section", { class: "player", "aria-label": t("play") }, this.#controls, this.#message);

  /**
   * @param {(seconds: number) => void} onTime Called as the recording plays, and after each jump.
   * @param {AbortSignal} until
   */
  constructor(onTime, until) {
    this.onTime = onTime;
    this.#audio.preload = "metadata";
    const on = (/** @type {string} */ event, /** @type {() => void} */ listener) =>
      this.#audio.addEventListener(event, listener, { signal: until });
    on("timeupdate", () => this.#show());
    on("seeked", () => this.#show());
    on("play", () => say(this.#toggle, t("pausePlayer")));
    on("pause", () => say(this.#toggle, t("play")));
    on("loadedmetadata", () => this.#measure());
    on("durationchange", () => this.#measure());
    on("error", () => this.explain(t("unplayable")));
    until.addEventListener("abort", () => this.#unload());
  }

  /**
   * @param {Blob} recording
   * @param {number} length In seconds, of the transcript; that of the file replaces it as soon as it is known.
   */
  load(recording, length) {
    this.#unload();
    this.#length = length;
    this.#controls.hidden = false;
    this.#message.hidden = true;
    this.#audio.src = URL.createObjectURL(recording);
    this.#show();
  }

  /**
   * Shows a message in place of the controls.
   *
   * @param {string} text
   * @param {...Node} actions
   */
  explain(text, ...actions) {
    this.#controls.hidden = true;
    this.#message.hidden = false;
    fill(this.#message, text, " ", ...actions);
  }

  #unload() {
    if (!this.#audio.src) return;
    this.#audio.pause();
    URL.revokeObjectURL(this.#audio.src);
    this.#audio.removeAttribute("src");
  }

  #measure() {
    if (this.#audio.duration === Infinity) {
      if (this.#measuring) return;
      this.#measuring = true;
      this.#audio.currentTime = BEYOND;
      return;
    }
    if (Number.isNaN(this.#audio.duration)) return;
    this.#length = this.#audio.duration;
    if (this.#measuring) this.#audio.currentTime = 0;
    this.#measuring = false;
    this.#show();
  }

  #show() {
    if (this.#measuring) return;
    const now = this.#audio.currentTime;
    this.#position.max = String(this.#length);
    this.#position.value = String(now);
    this.#position.setAttribute("aria-valuetext", clock(now));
    say(this.#time, `${clock(now)} / ${clock(this.#length)}`);
    this.onTime(now);
  }

  get isLoaded() {
    return !this.#controls.hidden;
  }

  get now() {
    return this.#audio.currentTime;
  }

  /** @param {number} seconds */
  seek(seconds) {
    this.#audio.currentTime = Math.min(Math.max(0, seconds), this.#length || Infinity);
  }

  /** @param {number} seconds */
  playFrom(seconds) {
    this.seek(seconds);
    return this.#play();
  }

  toggle() {
    return this.#audio.paused ? this.#play() : this.#audio.pause();
  }

  async #play() {
    if (!this.isLoaded) return;
    try {
      await this.#audio.play();
    } catch (error) {
      // A pause before the first sound, or a file that the browser cannot play, of which the event `error` tells.
      if (!(error instanceof DOMException)) throw error;
    }
  }

  /** @param {1 | -1} step */
  changeSpeed(step) {
    const next = SPEEDS[SPEEDS.indexOf(this.#audio.playbackRate) + step];
    if (!next) return;
    this.#audio.playbackRate = next;
    this.#speed.value = String(next);
  }
}
