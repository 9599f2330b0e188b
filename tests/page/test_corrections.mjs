// Corrections and their undo.

import assert from "node:assert/strict";
import { test } from "node:test";

import { change, nameOf, none, redo, textOf, undo } from "../../roles/portal/files/page/corrections.js";

const WORDS = { numbered: (number) => `Speaker ${number}`, unknown: "Unknown" };
const SEGMENT = { start: 0, end: 1, text: "Helo.", speaker: "SPEAKER_03", words: [] };

test("a correction is shown, taken back and made again", () => {
  const corrected = change(none(), "texts", 7, "Hello.");
  assert.equal(textOf(corrected, SEGMENT, 7), "Hello.");
  assert.equal(textOf(corrected, SEGMENT, 8), "Helo.");
  const before = undo(corrected);
  assert.equal(textOf(before, SEGMENT, 7), "Helo.");
  assert.deepEqual(redo(before), corrected);
});

test("what is taken back is in the order of the changes, of texts and names alike", () => {
  let now = change(change(change(none(), "texts", 0, "a"), "names", "SPEAKER_00", "Anna"), "texts", 0, "b");
  now = undo(now);
  assert.equal(now.texts[0], "a");
  now = undo(now);
  assert.equal(now.names.SPEAKER_00, undefined);
  now = change(now, "texts", 0, "c");
  assert.deepEqual(redo(now), now, "a new change leaves nothing to redo");
});

test("undo without a change, redo without an undo, and a change to the same change nothing", () => {
  const now = none();
  assert.equal(undo(now), now);
  assert.equal(redo(now), now);
  assert.equal(change(now, "texts", 0, null), now);
});

test("a text may be emptied, and corrected to nothing is not the service's text", () => {
  assert.equal(textOf(change(none(), "texts", 0, ""), SEGMENT, 0), "");
});

test("speakers are numbered as they speak, and those who could not be told are not", () => {
  const all = ["SPEAKER_03", "UNKNOWN", "SPEAKER_00"];
  assert.deepEqual(
    all.map((speaker) => nameOf(none(), all, speaker, WORDS)),
    ["Speaker 1", "Unknown", "Speaker 2"],
  );
  const named = change(none(), "names", "SPEAKER_00", "Zoë");
  assert.equal(nameOf(named, all, "SPEAKER_00", WORDS), "Zoë");
});
