// What services return, in the page's shape.

import assert from "node:assert/strict";
import { test } from "node:test";

import { fromResult, paragraphs, pieces, segmentAt, speakers } from "../../roles/portal/files/page/transcript.js";

const DIARIZED = {
  language: "en",
  timing: "aligned",
  segments: [
    {
      start: 0.5,
      end: 2,
      text: "Hello there.",
      speaker: "SPEAKER_01",
      words: [
        { word: "Hello", start: 0.5, end: 1, score: 0.95 },
        { word: "there.", start: 1, end: 2, score: 0.2 },
      ],
    },
    { start: 2, end: 3, text: " Hi. ", speaker: "SPEAKER_00" },
    { start: 3, end: 4, text: "  ", speaker: "SPEAKER_00" },
  ],
};

test("segments of /transcribe keep their speakers, and lose what has no text", () => {
  const { segments, language } = fromResult(DIARIZED);
  assert.equal(language, "en");
  assert.deepEqual(
    segments.map(({ text, speaker }) => [text, speaker]),
    [
      ["Hello there.", "SPEAKER_01"],
      ["Hi.", "SPEAKER_00"],
    ],
  );
  assert.deepEqual(speakers(segments), ["SPEAKER_01", "SPEAKER_00"]);
});

test("words of verbose_json go to their segments", () => {
  const words = [" One", " two", " three"].map((word, at) => ({
    word,
    start: at,
    end: at + 0.9,
    probability: 0.4 + at * 0.2,
  }));
  const { segments } = fromResult({
    segments: [
      { start: 0, end: 1.9, text: " One two" },
      { start: 2, end: 3, text: " three" },
    ],
    words,
  });
  assert.deepEqual(
    segments.map((segment) => segment.words.map(({ text }) => text)),
    [["One", "two"], ["three"]],
  );
});

test("a word that begins after the last segment's end is not lost", () => {
  const { segments } = fromResult({
    segments: [{ start: 0, end: 1, text: "A b" }],
    words: [
      { word: "A", start: 0, end: 1 },
      { word: "b", start: 1.2, end: 2 },
    ],
  });
  assert.equal(segments[0].words.length, 2);
});

for (const [name, result, expected] of [
  ["json", { text: " Words. " }, ["Words."]],
  ["text", "Words.\n", ["Words."]],
  ["no speech", { text: "" }, []],
  ["no segments", { text: "", segments: [] }, []],
  ["nothing", null, []],
]) {
  test(`a result of ${name} is a transcript`, () => {
    assert.deepEqual(
      fromResult(result).segments.map(({ text }) => text),
      expected,
    );
  });
}

test("doubtful words are apart, in their place, and punctuation never is", () => {
  const word = (text, probability) => ({ text, start: 0, end: 1, probability });
  const segment = {
    start: 0,
    end: 1,
    speaker: null,
    text: "The the — cat.",
    words: [word("The", 0.9), word("the", 0.1), word("—", 0.1), word("cat.", 0.3)],
  };
  assert.deepEqual(pieces(segment), [
    { text: "The ", doubtful: false },
    { text: "the", doubtful: true },
    { text: " — ", doubtful: false },
    { text: "cat.", doubtful: true },
  ]);
});

test("words that are not in the text leave it whole", () => {
  const segment = {
    start: 0,
    end: 1,
    speaker: null,
    text: "Fine.",
    words: [{ text: "other", start: 0, end: 1, probability: 0.1 }],
  };
  assert.deepEqual(pieces(segment), [{ text: "Fine.", doubtful: false }]);
});

test("text without probabilities is not doubtful", () => {
  const segment = {
    start: 0,
    end: 1,
    speaker: null,
    text: "Fine.",
    words: [{ text: "Fine.", start: 0, end: 1, probability: null }],
  };
  assert.deepEqual(pieces(segment), [{ text: "Fine.", doubtful: false }]);
});

test("paragraphs end with the speaker, a silence, and after a while with a sentence", () => {
  const say = (start, end, speaker, text = "Yes.") => ({ start, end, speaker, text, words: [] });
  assert.deepEqual(paragraphs([say(0, 1, "A"), say(1, 2, "A"), say(2, 3, "B"), say(8, 9, "B")]), [[0, 1], [2], [3]]);
  const monologue = Array.from({ length: 60 }, (_, at) => say(at * 2, at * 2 + 2, "A", at % 2 ? "and so on." : "and"));
  const lengths = paragraphs(monologue).map((numbers) => numbers.length);
  assert.deepEqual(lengths, [24, 24, 12]);
  const breathless = Array.from({ length: 60 }, (_, at) => say(at * 2, at * 2 + 2, null, "and"));
  assert.deepEqual(
    paragraphs(breathless).map((numbers) => numbers.length),
    [45, 15],
  );
});

test("the segment at a moment is the last that has begun", () => {
  const segments = [1, 3, 5].map((start) => ({ start, end: start + 1, text: "", speaker: null, words: [] }));
  assert.deepEqual(
    [0, 1, 2.9, 3, 99].map((seconds) => segmentAt(segments, seconds)),
    [-1, 0, 0, 1, 2],
  );
  assert.equal(segmentAt([], 1), -1);
});
