// Takes the corrected transcript out of the page.

import { h, say } from "./dom.js";
import { download } from "./download.js";
import { fileName } from "./formats.js";
import { t } from "./language.js";
import { json, md, srt, txt, vtt } from "./text_exports.js";

/** @typedef {import("./text_exports.js").Document} Document */

/** Milliseconds for which "Copied" is shown. */
const COPIED = 2000;

/** @type {[import("./english.js").Key, string, string, (document: Document) => string][]} */
const TEXTS = [
  ["plainText", "txt", "text/plain", txt],
  ["markdown", "md", "text/markdown", md],
  ["srt", "srt", "application/x-subrip", srt],
  ["vtt", "vtt", "text/vtt", vtt],
  ["json", "json", "application/json", json],
];

/**
 * @param {() => Document} read
 * @returns {HTMLElement[]} The menu, and buttons to copy and print.
 */
export function exportMenu(read) {
  const copy = h("button", { type: "button", onclick: copied }, t("copy"));

  async function copied() {
    await navigator.clipboard.writeText(txt(read()));
    say(copy, t("copied"));
    setTimeout(() => say(copy, t("copy")), COPIED);
  }

  async function word() {
    // Few need it: it is loaded when it is asked for.
    const { docx } = await import("./docx.js");
    download(docx(read()), fileName(read().title, "docx"));
  }

  const items = TEXTS.map(([key, extension, type, write]) => {
    const save = () =>
      download(new Blob([write(read())], { type: `${type};charset=utf-8` }), fileName(read().title, extension));
    return h("li", {}, h("button", { type: "button", onclick: save }, t(key)));
  });
  const menu = h(
    "details",
    {
      class: "menu",
      onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && (menu.open = false),
      onclick: close,
    },
    h("summary", {}, t("exportAs")),
    h("ul", {}, h("li", {}, h("button", { type: "button", onclick: word }, t("word"))), ...items),
  );

  function close(/** @type {Event} */ event) {
    if (/** @type {Element} */ (event.target).closest("li")) menu.open = false;
  }

  return [menu, copy, h("button", { type: "button", onclick: () => print() }, t("print"))];
}
