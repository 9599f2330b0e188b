// The language of the page: what was chosen here before, else the browser's, else English.

import { english } from "./english.js";
import { french } from "./french.js";

const WORDS = { en: english, fr: french };

/** @returns {"en" | "fr"} */
function preferred() {
  const known = [localStorage.getItem("language"), ...navigator.languages].map((tag) => tag?.slice(0, 2));
  return known.find((tag) => tag === "en" || tag === "fr") ?? "en";
}

export const language = preferred();

/** Reloads the page in its other language. */
export function switchLanguage() {
  localStorage.setItem("language", language === "en" ? "fr" : "en");
  location.reload();
}

/**
 * @param {import("./english.js").Key} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** @param {number} milliseconds Since the epoch. */
export function date(milliseconds) {
  return new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(milliseconds);
}
