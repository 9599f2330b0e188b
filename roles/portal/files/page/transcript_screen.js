// One transcript: read, listen, correct, take along.

import { change, nameOf, redo, textOf, undo } from "./corrections.js";
import { fill, h, say } from "./dom.js";
import { messageOf } from "./error_text.js";
import { exportMenu } from "./export_menu.js";
import { FindBar } from "./find_bar.js";
import { t } from "./language.js";
import { Player } from "./player.js";
import * as recordings from "./recordings.js";
import { listen } from "./signals.js";
import { replaceAudio } from "./sources.js";
import { SpeakersView } from "./speakers_view.js";
import { TextView } from "./text_view.js";
import { paragraphs, segmentAt, speakers } from "./transcript.js";
import { transcriptKeys } from "./transcript_keys.js";

/** @typedef {import("./recordings.js").Recording} Recording */
/** @typedef {import("./transcript.js").Transcript} Transcript */
/** @typedef {import("./corrections.js").Corrections} Corrections */

/**
 * @param {HTMLElement} root
 * @param {string} id
 * @param {AbortSignal} until
 */
export async function transcriptScreen(root, id, until) {
  const [recording, transcript, corrections] = await Promise.all([
    recordings.get(id),
    recordings.transcriptOf(id),
    recordings.correctionsOf(id),
  ]);
  if (until.aborted) return;
  if (!recording || !transcript || !corrections) return fill(root, backLink(), h("p", {}, t("gone")));
  const screen = new TranscriptScreen(recording, transcript, corrections, until);
  fill(root, screen.element);
  await screen.loadAudio();
}

function backLink() {
  return h("a", { href: "#/", class: "back" }, `← ${t("back")}`);
}

class TranscriptScreen {
  #recording;
  #transcript;
  #corrections;
  #until;
  #speakers;
  #message = h("p", { class: "problem", role: "alert", hidden: true });
  /** Whether a change could not be stored. */
  #failed = false;
  #undo = h("button", { type: "button", onclick: () => this.#correct(undo) }, t("undo"));
  #redo = h("button", { type: "button", onclick: () => this.#correct(redo) }, t("redo"));

  /**
   * @param {Recording} recording
   * @param {Transcript} transcript
   * @param {Corrections} corrections
   * @param {AbortSignal} until
   */
  constructor(recording, transcript, corrections, until) {
    this.#recording = recording;
    this.#transcript = transcript;
    this.#corrections = corrections;
    this.#until = until;
    const { segments } = transcript;
    this.#speakers = speakers(segments);
    this.player = new Player((seconds) => this.#showTime(seconds), until);
    this.view = new TextView(
      segments,
      this.#speakers,
      {
        play: (number) => this.#play(number),
        correct: (number, text) =>
          this.#correct((before) => change(before, "texts", number, text === segments[number].text ? null : text)),
        textOf: (number) => textOf(this.#corrections, segments[number], number),
        nameOf: (speaker) => this.#nameOf(speaker),
      },
      until,
    );
    this.bars = new SpeakersView(
      segments,
      this.#speakers,
      (speaker, name) => this.#rename(speaker, name),
      (seconds) => this.player.seek(seconds),
    );
    this.find = new FindBar(this.view, until);
    this.element = h("article", { class: "reader" }, ...this.#parts());
    transcriptKeys(
      {
        player: this.player,
        view: this.view,
        find: this.find,
        undo: () => this.#correct(undo),
        redo: () => this.#correct(redo),
        play: (number) => this.#play(number),
      },
      until,
    );
    listen((signal) => signal.type === "stored" && signal.id === recording.id && this.#reload(), until);
    this.#show();
  }

  #parts() {
    const title = h("input", {
      class: "title",
      "aria-label": t("nameOfTranscript"),
      maxlength: 200,
      value: this.#recording.title,
      autocomplete: "off",
    });
    title.addEventListener("change", () =>
      recordings.change(this.#recording.id, { title: title.value.trim() || this.#recording.title }),
    );
    const isDoubtful = this.view.element.querySelector(".doubtful") !== null;
    const tools = h(
      "div",
      { class: "row tools" },
      this.find.element,
      this.#undo,
      this.#redo,
      ...exportMenu(() => this.#document()),
    );
    // Printed in place of the field.
    const heading = h("h2", { class: "printed" }, this.#recording.title);
    return [
      h("header", {}, backLink(), title, heading, tools, this.#message),
      this.player.element,
      this.#speakers.length > 0 && this.bars.element,
      isDoubtful && h("p", { class: "faint note" }, t("doubtful")),
      this.view.element,
      h("p", { class: "faint note" }, t("help")),
    ];
  }

  async loadAudio() {
    const audio = await recordings.audioOf(this.#recording.id);
    if (this.#until.aborted) return;
    if (audio) return this.player.load(audio, this.#transcript.segments.at(-1)?.end ?? 0);
    const choose = async (/** @type {Event} */ event) => {
      const file = /** @type {HTMLInputElement} */ (event.target).files?.[0];
      if (!file) return;
      await replaceAudio(this.#recording, file);
      await this.loadAudio();
    };
    this.player.explain(
      t("noAudio"),
      h(
        "label",
        { class: "button" },
        t("chooseAgain"),
        h("input", { type: "file", class: "unseen", onchange: choose }),
      ),
    );
  }

  /** @param {number} number */
  #play(number) {
    const segment = this.#transcript.segments[number];
    if (segment) this.player.playFrom(segment.start);
  }

  /** @param {number} seconds */
  #showTime(seconds) {
    this.view.mark(segmentAt(this.#transcript.segments, seconds));
    this.bars.showTime(seconds);
  }

  /** @param {string} speaker */
  #nameOf(speaker) {
    const words = {
      numbered: (/** @type {number} */ number) => t("speaker", { number }),
      unknown: t("unknownSpeaker"),
    };
    return nameOf(this.#corrections, this.#speakers, speaker, words);
  }

  /**
   * @param {string} speaker
   * @param {string} name An empty one is the service's own.
   */
  #rename(speaker, name) {
    return name === this.#nameOf(speaker)
      ? this.#show()
      : this.#correct((before) => change(before, "names", speaker, name || null));
  }

  /** @param {(before: Corrections) => Corrections} how */
  async #correct(how) {
    try {
      const corrected = await recordings.correct(this.#recording.id, how);
      if (!corrected) throw new Error(t("gone"));
      this.#corrections = corrected;
      this.#failed = false;
    } catch (error) {
      // Shown and exported all the same.
      this.#corrections = how(this.#corrections);
      this.#failed = true;
      say(this.#message, t("unsaved", { message: messageOf(error) }));
    }
    this.#show();
  }

  /** What another tab changed. */
  async #reload() {
    const [recording, corrections] = await Promise.all([
      recordings.get(this.#recording.id),
      recordings.correctionsOf(this.#recording.id),
    ]);
    if (this.#until.aborted || this.#failed) return;
    if (!recording || !corrections) return fill(this.element, backLink(), h("p", {}, t("gone")));
    this.#recording = recording;
    this.#corrections = corrections;
    this.#show();
  }

  #show() {
    document.title = this.#recording.title;
    if (!this.#failed) say(this.#message, recordings.isUnstored(this.#recording.id) ? t("unstored") : "");
    this.#message.hidden = !this.#message.textContent;
    this.view.update();
    this.bars.showNames((speaker) => this.#nameOf(speaker));
    this.#undo.disabled = this.#corrections.done.length === 0;
    this.#redo.disabled = this.#corrections.undone.length === 0;
    const heading = this.element.querySelector("h2.printed");
    if (heading) heading.textContent = this.#recording.title;
  }

  /** @returns {import("./text_exports.js").Document} */
  #document() {
    const { segments, language } = this.#transcript;
    const lines = segments.map(({ start, end, speaker }, number) => ({
      start,
      end,
      text: textOf(this.#corrections, segments[number], number),
      speaker: speaker === null ? null : this.#nameOf(speaker),
    }));
    return { title: this.#recording.title, language, lines, paragraphs: paragraphs(segments) };
  }
}
