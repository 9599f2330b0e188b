// What a service returned, in the one shape that the page works with. Times are in seconds from the start of the recording.

/** @typedef {{ start: number, end: number, text: string, probability: number | null }} Word */
/** @typedef {{ start: number, end: number, text: string, speaker: string | null, words: Word[] }} Segment */
/** @typedef {{ language: string | null, segments: Segment[] }} Transcript */
/** @typedef {{ text: string, doubtful: boolean }} Piece */

/** A word that the model gives a lower probability is marked. */
export const DOUBTFUL = 0.5;

/** The service's name for somebody whom it could not tell. */
export const UNKNOWN = "UNKNOWN";

/** Seconds after which a paragraph ends with its sentence, and at last with its segment, so that nobody reads a page without a time. */
const PARAGRAPH = 45;
const LONGEST_PARAGRAPH = 90;
/** Seconds of silence that end a paragraph. */
const SILENCE = 4;

/**
 * The transcript in a service's answer: the JSON of `/transcribe`, of `verbose_json`, `diarized_json` or `json`, or text alone.
 *
 * @param {any} result
 * @returns {Transcript}
 */
export function fromResult(result) {
  const answer = typeof result === "string" ? { text: result } : (result ?? {});
  if (!Array.isArray(answer.segments)) {
    const text = String(answer.text ?? "").trim();
    return {
      language: answer.language ?? null,
      segments: text ? [{ start: 0, end: 0, text, speaker: null, words: [] }] : [],
    };
  }
  const segments = answer.segments.map(toSegment).filter((/** @type {Segment} */ segment) => segment.text);
  if (Array.isArray(answer.words)) shareOut(answer.words.map(toWord), segments);
  return { language: answer.language ?? null, segments };
}

/**
 * @param {any} segment
 * @returns {Segment}
 */
function toSegment(segment) {
  return {
    start: Number(segment.start) || 0,
    end: Number(segment.end) || 0,
    text: String(segment.text ?? "").trim(),
    speaker: typeof segment.speaker === "string" ? segment.speaker : null,
    words: Array.isArray(segment.words) ? segment.words.map(toWord) : [],
  };
}

/**
 * @param {any} word
 * @returns {Word}
 */
function toWord(word) {
  const probability = word.score ?? word.probability;
  return {
    start: Number(word.start) || 0,
    end: Number(word.end) || 0,
    text: String(word.word ?? "").trim(),
    probability: typeof probability === "number" ? probability : null,
  };
}

/**
 * Gives every segment its words: `verbose_json` has them in one list.
 *
 * @param {Word[]} words
 * @param {Segment[]} segments
 */
function shareOut(words, segments) {
  let next = 0;
  segments.forEach((segment, number) => {
    const until = segments[number + 1]?.start ?? Infinity;
    while (next < words.length && (words[next].start < segment.end || words[next].start < until))
      segment.words.push(words[next++]);
  });
}

/**
 * The text of a segment, with the words apart that the model was not sure of.
 *
 * @param {Segment} segment
 * @returns {Piece[]}
 */
export function pieces(segment) {
  /** @type {Piece[]} */
  const found = [];
  let done = 0;
  let from = 0;
  for (const word of segment.words) {
    const at = word.text ? segment.text.indexOf(word.text, from) : -1;
    if (at < 0) continue;
    from = at + word.text.length;
    if (word.probability === null || word.probability >= DOUBTFUL || !/[\p{L}\p{N}]/u.test(word.text)) continue;
    if (at > done) found.push({ text: segment.text.slice(done, at), doubtful: false });
    found.push({ text: word.text, doubtful: true });
    done = from;
  }
  if (done < segment.text.length) found.push({ text: segment.text.slice(done), doubtful: false });
  return found;
}

/**
 * The speakers in the order in which they speak first.
 *
 * @param {Segment[]} segments
 * @returns {string[]}
 */
export function speakers(segments) {
  return [...new Set(segments.flatMap(({ speaker }) => (speaker === null ? [] : [speaker])))];
}

/**
 * Numbers of the segments of each paragraph: one speaker, without a long silence, at most a minute or so.
 *
 * @param {Segment[]} segments
 * @returns {number[][]}
 */
export function paragraphs(segments) {
  /** @type {number[][]} */
  const found = [];
  segments.forEach((segment, number) => {
    const current = found.at(-1);
    const before = segments[number - 1];
    if (!current || !before || ends(segments[current[0]].start, before, segment)) found.push([number]);
    else current.push(number);
  });
  return found;
}

/**
 * @param {number} began
 * @param {Segment} before
 * @param {Segment} segment
 */
function ends(began, before, segment) {
  const length = before.end - began;
  return (
    segment.speaker !== before.speaker ||
    segment.start - before.end >= SILENCE ||
    length >= LONGEST_PARAGRAPH ||
    (length >= PARAGRAPH && /[.!?…。？！]["'”»)]?$/.test(before.text))
  );
}

/**
 * Number of the segment at a moment: the last one that has begun, -1 before the first.
 *
 * @param {Segment[]} segments
 * @param {number} seconds
 */
export function segmentAt(segments, seconds) {
  let [low, high] = [0, segments.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (segments[middle].start <= seconds) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
