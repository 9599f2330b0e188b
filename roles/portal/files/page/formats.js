// Times and sizes for people, and time stamps for subtitles.

/**
 * `12:04`, or `1:04:00` from an hour on.
 *
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${String(minutes).padStart(hours ? 2 : 1, "0")}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${tail}` : tail;
}

/**
 * Hours, minutes, seconds and milliseconds, as in SRT and WebVTT.
 *
 * @param {number} seconds
 * @param {"," | "."} mark
 */
export function stamp(seconds, mark) {
  const milliseconds = Math.max(0, Math.round(seconds * 1000));
  const parts = [
    Math.floor(milliseconds / 3_600_000),
    Math.floor(milliseconds / 60_000) % 60,
    Math.floor(milliseconds / 1000) % 60,
  ];
  return `${parts.map((part) => String(part).padStart(2, "0")).join(":")}${mark}${String(milliseconds % 1000).padStart(3, "0")}`;
}

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte"];

/**
 * A number of bytes in the unit that suits it, in steps of 1000 as in file managers.
 *
 * @param {number} bytes
 * @param {string} language
 */
export function size(bytes, language) {
  const step = Math.min(UNITS.length - 1, bytes < 1000 ? 0 : Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** step;
  const digits = step > 0 && value < 10 ? 1 : 0;
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit: UNITS[step],
    unitDisplay: step === 0 ? "long" : "short",
    minimumFractionDigits: 0,
    maximumFractionDigits: digits,
  }).format(value);
}

/**
 * A duration in the roughest unit that helps: `40 sec`, `3 min`, `1.5 hr`.
 *
 * @param {number} seconds
 * @param {string} language
 */
export function duration(seconds, language) {
  const [value, unit, digits] =
    seconds < 55
      ? [Math.max(1, Math.ceil(seconds / 5) * 5), "second", 0]
      : seconds < 5400
        ? [Math.max(1, Math.round(seconds / 60)), "minute", 0]
        : [seconds / 3600, "hour", 1];
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit: String(unit),
    unitDisplay: "short",
    maximumFractionDigits: Number(digits),
  }).format(Number(value));
}

/**
 * @param {number} share From 0 to 1.
 * @param {string} language
 */
export function percent(share, language) {
  return new Intl.NumberFormat(language, { style: "percent" }).format(Math.floor(share * 100) / 100);
}

/**
 * A name for a file of any system: the characters that one of them forbids become hyphens.
 *
 * @param {string} title
 * @param {string} extension
 */
export function fileName(title, extension) {
  const safe = title
    .replace(/[\u0000-\u001f<>:"/\\|?*]+/g, "-")
    .replace(/^[.\s]+|[.\s]+$/g, "")
    .slice(0, 120);
  return `${safe || "transcript"}.${extension}`;
}
