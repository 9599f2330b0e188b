// The microphone on the page: time, level, pause, and the end of a recording.

import { fill, h, say } from "./dom.js";
import { clock } from "./formats.js";
import { date, t } from "./language.js";
import { Microphone, canRecord } from "./microphone.js";
import { serviceFor } from "./orders.js";
import { start } from "./work.js";

/** Milliseconds between two looks at level and time. */
const LOOK = 100;
/** Seconds without any sound after which the person is told. */
const SILENT = 4;

/**
 * @param {() => import("./recordings.js").Options} options
 * @param {(message: string) => void} complain
 * @param {AbortSignal} until When the screen is left; a recording goes on in that case, and its controls are there again on return.
 * @returns {{ button: HTMLElement, panel: HTMLElement }}
 */
export function recorderView(options, complain, until) {
  const panel = h("section", { class: "recorder", hidden: !running, "aria-label": t("microphone") });
  const button = h(
    "button",
    { type: "button", class: "record", hidden: Boolean(running), onclick: begin },
    t("record"),
  );

  async function begin() {
    if (!canRecord) return complain(t("noRecorder"));
    const chosen = options();
    button.setAttribute("disabled", "");
    try {
      running = await Microphone.begin(
        t("recordingTitle", { date: date(Date.now()) }),
        chosen,
        serviceFor(chosen)?.path ?? "",
      );
      show();
    } catch (error) {
      complain(error instanceof DOMException ? t("noMicrophone") : String(error));
    } finally {
      button.removeAttribute("disabled");
    }
  }

  function show() {
    panel.hidden = !running;
    button.hidden = Boolean(running);
    if (running) fill(panel, ...controls(running, show, until));
  }

  show();
  return { button, panel };
}

/** The recording of this tab. @type {Microphone | null} */
let running = null;

/** Whether this tab records, so that it is not closed unawares. */
export function isRecording() {
  return running !== null;
}

/**
 * @param {Microphone} microphone
 * @param {() => void} ended
 * @param {AbortSignal} until
 */
function controls(microphone, ended, until) {
  const time = h("p", { class: "time" });
  const level = h("meter", { min: 0, max: 1, "aria-label": t("level") });
  const warning = h("p", { role: "status" });
  const pause = h("button", { type: "button", onclick: toggle }, t("pause"));
  const finish = h("button", { type: "button", class: "main", onclick: end }, t("finish"));
  let heard = Date.now();

  function toggle() {
    if (microphone.isPaused) microphone.resume();
    else microphone.pause();
    heard = Date.now();
    say(pause, t(microphone.isPaused ? "resume" : "pause"));
    look();
  }

  async function end() {
    finish.disabled = pause.disabled = true;
    clearInterval(timer);
    await microphone.finish();
    running = null;
    start(microphone.id);
    ended();
  }

  function look() {
    level.value = microphone.isPaused ? 0 : microphone.level;
    if (level.value > 0) heard = Date.now();
    const silent = !microphone.isPaused && Date.now() - heard > SILENT * 1000;
    say(time, t(microphone.isPaused ? "paused" : "recordingNow", { time: clock(microphone.seconds) }));
    say(warning, microphone.isUnkept ? t("piecesUnkept") : silent ? t("silent") : "");
  }

  const timer = setInterval(look, LOOK);
  until.addEventListener("abort", () => clearInterval(timer));
  look();
  return [h("div", { class: "row" }, time, level), h("div", { class: "row" }, pause, finish), warning];
}
