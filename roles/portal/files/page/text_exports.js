// A corrected transcript as subtitles, text and data.
// Sources: WebVTT (W3C); SRT has no specification, it is what players read; CommonMark 0.31; RFC 8259.

import { clock, stamp } from "./formats.js";

/** @typedef {{ start: number, end: number, text: string, speaker: string | null }} Line `speaker` is the name to show. */
/** @typedef {{ title: string, language: string | null, lines: Line[], paragraphs: number[][] }} Document */

/** A cue without a length is shown this long, in seconds. */
const SHORTEST = 0.1;

/**
 * The lines whose text is not empty, each ending no later than the next begins: players show one cue at a time.
 *
 * @param {Document} document
 * @returns {Line[]}
 */
function cues({ lines }) {
  const shown = lines.filter(({ text }) => text.trim());
  return shown.map((line, number) => {
    const next = shown[number + 1]?.start ?? Infinity;
    const end = next > line.start ? Math.min(line.end, next) : line.end;
    return { ...line, text: oneBlock(line.text), end: Math.max(end, line.start + SHORTEST) };
  });
}

/**
 * An empty line, or an arrow, would end a cue.
 *
 * @param {string} text
 */
function oneBlock(text) {
  return text
    .trim()
    .replace(/\s*\n\s*/g, "\n")
    .replaceAll("-->", "->");
}

/** @param {Document} document */
export function srt(document) {
  return cues(document)
    .map(({ start, end, text, speaker }, number) => {
      const label = speaker === null ? "" : `${speaker}: `;
      return `${number + 1}\n${stamp(start, ",")} --> ${stamp(end, ",")}\n${label}${text}\n\n`;
    })
    .join("");
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

/** @param {Document} document */
export function vtt(document) {
  const written = cues(document).map(({ start, end, text, speaker }) => {
    const voice = speaker === null ? "" : `<v ${escaped(speaker.replace(/\s+/g, " "))}>`;
    return `${stamp(start, ".")} --> ${stamp(end, ".")}\n${voice}${escaped(text)}\n\n`;
  });
  return `WEBVTT\n\n${written.join("")}`;
}

/**
 * Each paragraph with its moment, its speaker and its text.
 *
 * @param {Document} document
 * @returns {{ start: number, speaker: string | null, text: string }[]}
 */
export function paragraphsOf({ lines, paragraphs }) {
  return paragraphs
    .map((numbers) => ({
      start: lines[numbers[0]].start,
      speaker: lines[numbers[0]].speaker,
      text: numbers
        .map((number) => lines[number].text.trim())
        .filter(Boolean)
        .join(" "),
    }))
    .filter(({ text }) => text);
}

/** @param {Document} document */
export function txt(document) {
  return paragraphsOf(document)
    .map(({ start, speaker, text }) => `[${clock(start)}] ${speaker === null ? "" : `${speaker}: `}${text}\n`)
    .join("\n");
}

/** @param {string} text */
function literal(text) {
  return text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, "\\$&").replace(/\s*\n\s*/g, " ");
}

/** @param {Document} document */
export function md(document) {
  const body = paragraphsOf(document).map(({ start, speaker, text }) => {
    const head = speaker === null ? `*${clock(start)}*` : `**${literal(speaker)}** *${clock(start)}*`;
    return `${head}\n\n${literal(text)}\n`;
  });
  return [`# ${literal(document.title)}\n`, ...body].join("\n");
}

/** @param {Document} document */
export function json({ title, language, lines }) {
  const segments = lines.map(({ start, end, text, speaker }) => ({
    start,
    end,
    ...(speaker === null ? {} : { speaker }),
    text,
  }));
  return `${JSON.stringify({ title, language, segments }, null, 2)}\n`;
}
