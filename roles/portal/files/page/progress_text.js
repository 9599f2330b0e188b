// What is being done with a recording right now, in words and as a share.

import { Estimate } from "./estimate.js";
import { duration, percent, size } from "./formats.js";
import { language, t } from "./language.js";

/** @typedef {import("./recordings.js").Recording} Recording */
/** @typedef {import("./work.js").Live} Live */
/** @typedef {{ text: string, share: number | null }} Shown `share` is null where it is not known. */

/** @type {Record<NonNullable<Live["reason"]>, import("./english.js").Key>} */
const REASONS = { network: "error.network", busy: "error.busy", unavailable: "error.unavailable" };

/** Follows one recording. */
export class ProgressText {
  /** @type {Live} */
  #live = {};
  #upload = new Estimate();
  #job = new Estimate();

  /** @param {Live | null} live */
  take(live) {
    this.#live = live ?? {};
    const now = Date.now() / 1000;
    if (live?.sent !== undefined) this.#upload.add(live.sent, now);
    if (live?.progress !== undefined) this.#job.add(live.progress, now);
  }

  /**
   * @param {Recording} recording
   * @returns {Shown}
   */
  of(recording) {
    const { reason, retryAt, stage, progress } = this.#live;
    if (reason && retryAt) {
      const time = duration(Math.max(1, (retryAt - Date.now()) / 1000), language);
      return { text: t("again", { reason: t(REASONS[reason]), time }), share: null };
    }
    if (recording.state === "sending") return this.#sending();
    if (recording.state === "working" && stage && progress !== undefined) {
      return {
        text: this.#withRest(t(`stage.${stage}`, { percent: percent(progress, language) }), this.#job.remaining(1)),
        share: progress,
      };
    }
    if (recording.state === "working") return { text: t("state.working"), share: null };
    return { text: t(`state.${recording.state}`), share: null };
  }

  /** @returns {Shown} */
  #sending() {
    const { sent = 0, total = 0, starting } = this.#live;
    if (starting) return { text: t("starting"), share: null };
    if (total && sent >= total) return { text: t("checking"), share: null };
    const done = t("sending", { done: size(sent, language), total: size(total, language) });
    const pace = this.#upload.pace();
    const speed = pace === null ? "" : ` · ${t("pace", { size: size(pace, language) })}`;
    return { text: this.#withRest(done + speed, this.#upload.remaining(total)), share: total ? sent / total : 0 };
  }

  /**
   * @param {string} text
   * @param {number | null} seconds
   */
  #withRest(text, seconds) {
    return seconds === null ? text : `${text} · ${t("left", { time: duration(seconds, language) })}`;
  }
}
