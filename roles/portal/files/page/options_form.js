// What the person wants of a recording. The choices are remembered.

import { speakerService } from "./configuration.js";
import { h } from "./dom.js";
import { language, t } from "./language.js";

/** Languages of Whisper's models, by ISO 639 code. */
const LANGUAGES =
  "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy id is it ja jv ka kk km kn ko la lb " +
  "ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo yue zh";

const MOST_SPEAKERS = 20;

/** @typedef {import("./recordings.js").Options} Options */

/** @returns {Options & { keep: boolean }} */
function remembered() {
  const choices = { speakers: speakerService !== null, language: "", count: null, words: "", keep: true };
  try {
    return { ...choices, ...JSON.parse(localStorage.getItem("options") ?? "{}") };
  } catch {
    return choices;
  }
}

function languages() {
  const names = new Intl.DisplayNames(language, { type: "language" });
  const named = LANGUAGES.split(" ").map((code) => ({ code, name: names.of(code) ?? code }));
  return named.sort((one, other) => one.name.localeCompare(other.name, language));
}

/**
 * @param {string} name
 * @param {[string, string][]} values
 * @param {string} chosen
 */
function select(name, values, chosen) {
  return h(
    "select",
    { name },
    ...values.map(([value, text]) => h("option", { value, selected: value === chosen }, text)),
  );
}

/**
 * The form, and a function that reads it.
 *
 * @returns {{ element: HTMLFormElement, options: () => Options, keep: () => boolean }}
 */
export function optionsForm() {
  const before = remembered();
  const radio = (
    /** @type {string} */ value,
    /** @type {string} */ text,
    /** @type {boolean} */ checked,
    disabled = false,
  ) => h("label", {}, h("input", { type: "radio", name: "what", value, checked, disabled }), text);
  const speakers = before.speakers && speakerService !== null;
  const count = select("count", [["", t("automatic")], ...numbers()], String(before.count ?? ""));
  const countField = h("label", { hidden: !speakers }, t("count"), count);
  const chosenLanguage = select(
    "language",
    [["", t("detect")], .../** @type {[string, string][]} */ (languages().map(({ code, name }) => [code, name]))],
    before.language,
  );
  const words = h("input", {
    name: "words",
    value: before.words,
    placeholder: t("wordsHint"),
    maxlength: 2000,
    autocomplete: "off",
  });
  const keep = h("input", { type: "checkbox", name: "keep", checked: before.keep });
  const element = h(
    "form",
    { class: "options", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    h(
      "fieldset",
      {},
      h("legend", {}, t("what")),
      radio("text", t("textOnly"), !speakers),
      radio("speakers", t("whoSaidWhat"), speakers, speakerService === null),
      speakerService === null && h("p", { class: "faint" }, t("noSpeakers")),
    ),
    h("label", {}, t("language"), chosenLanguage),
    countField,
    h("label", { class: "wide" }, t("words"), words),
    h("label", { class: "wide check" }, keep, t("keep")),
  );
  const wantsSpeakers = () => new FormData(element).get("what") === "speakers";
  const options = () => ({
    speakers: wantsSpeakers(),
    language: chosenLanguage.value,
    count: wantsSpeakers() && count.value ? Number(count.value) : null,
    words: words.value.trim(),
  });
  element.addEventListener("change", () => {
    countField.hidden = !wantsSpeakers();
    localStorage.setItem("options", JSON.stringify({ ...options(), keep: keep.checked }));
  });
  return { element, options, keep: () => keep.checked };
}

/** @returns {[string, string][]} */
function numbers() {
  return Array.from({ length: MOST_SPEAKERS }, (_, index) => [String(index + 1), String(index + 1)]);
}
