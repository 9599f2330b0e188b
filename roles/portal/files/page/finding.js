// Where a text occurs in the segments, regardless of case and accents.

/** @typedef {{ segment: number, start: number, end: number }} Match Offsets are in the segment's text. */

/**
 * The text without case and accents, and the offset in the original of each of its characters.
 *
 * @param {string} text
 * @returns {{ plain: string, offsets: number[] }}
 */
function plain(text) {
  let folded = "";
  /** @type {number[]} */
  const offsets = [];
  let at = 0;
  for (const character of text) {
    const bare = character.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    folded += bare;
    for (let unit = 0; unit < bare.length; unit++) offsets.push(at);
    at += character.length;
  }
  offsets.push(at);
  return { plain: folded, offsets };
}

/**
 * @param {string[]} texts
 * @param {string} wanted
 * @returns {Match[]}
 */
export function find(texts, wanted) {
  const needle = plain(wanted.trim()).plain;
  if (!needle) return [];
  return texts.flatMap((text, segment) => {
    const { plain: hay, offsets } = plain(text);
    /** @type {Match[]} */
    const matches = [];
    for (let at = hay.indexOf(needle); at >= 0; at = hay.indexOf(needle, at + needle.length)) {
      matches.push({ segment, start: offsets[at], end: offsets[at + needle.length] });
    }
    return matches;
  });
}
