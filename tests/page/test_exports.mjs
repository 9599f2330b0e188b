// Exports of a corrected transcript, also of text that looks like markup.

import assert from "node:assert/strict";
import { test } from "node:test";

import { docx } from "../../roles/portal/files/page/docx.js";
import { find } from "../../roles/portal/files/page/finding.js";
import { json, md, srt, txt, vtt } from "../../roles/portal/files/page/text_exports.js";

const line = (start, end, text, speaker = null) => ({ start, end, text, speaker });
const MEETING = {
  title: "Team <b>meeting</b>",
  language: "en",
  lines: [
    line(0.5, 3.25, "Hello & <i>welcome</i>.", "Anna"),
    line(3, 4, "Go --> on.", "Anna"),
    line(4, 5, " ", "Anna"),
    line(3661, 3662, "Bye.", "B > n"),
  ],
  paragraphs: [[0, 1, 2], [3]],
};

test("srt: numbered cues that do not overlap", () => {
  assert.equal(
    srt(MEETING),
    "1\n00:00:00,500 --> 00:00:03,000\nAnna: Hello & <i>welcome</i>.\n\n2\n00:00:03,000 --> 00:00:04,000\nAnna: Go -> on.\n\n3\n01:01:01,000 --> 01:01:02,000\nB > n: Bye.\n\n",
  );
});

test("vtt: voices, and everything that looks like markup escaped", () => {
  const [head, first, second, last] = vtt(MEETING).split("\n\n");
  assert.equal(head, "WEBVTT");
  assert.equal(first, "00:00:00.500 --> 00:00:03.000\n<v Anna>Hello &amp; &lt;i&gt;welcome&lt;/i&gt;.");
  assert.equal(second, "00:00:03.000 --> 00:00:04.000\n<v Anna>Go -&gt; on.");
  assert.equal(last, "01:01:01.000 --> 01:01:02.000\n<v B &gt; n>Bye.");
});

test("a cue has a length, and no empty line", () => {
  const cue = srt({ title: "", language: null, lines: [line(1, 1, "One\n\n\ntwo")], paragraphs: [[0]] });
  assert.equal(cue, "1\n00:00:01,000 --> 00:00:01,100\nOne\ntwo\n\n");
});

test("txt: paragraphs with time and speaker", () => {
  assert.equal(txt(MEETING), "[0:00] Anna: Hello & <i>welcome</i>. Go --> on.\n\n[1:01:01] B > n: Bye.\n");
});

test("md: nothing in the text is markup", () => {
  const text = md({ ...MEETING, lines: [line(0, 1, "# *not* [a](link) `x`\n1. <u>"), ...MEETING.lines.slice(1)] });
  assert.ok(text.startsWith("# Team \\<b\\>meeting\\</b\\>\n"));
  assert.ok(text.includes("\\# \\*not\\* \\[a\\]\\(link\\) \\`x\\` 1\\. \\<u\\>"));
  assert.ok(text.includes("**B \\> n** *1:01:01*\n\nBye\\.\n"));
});

test("json: what was corrected, as data", () => {
  const data = JSON.parse(json(MEETING));
  assert.deepEqual(data.segments[0], { start: 0.5, end: 3.25, speaker: "Anna", text: "Hello & <i>welcome</i>." });
  assert.equal(data.title, MEETING.title);
});

test("docx: an archive of the three parts that Word needs", async () => {
  const bytes = new Uint8Array(await docx(MEETING).arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  for (const name of ["[Content_Types].xml", "_rels/.rels", "word/document.xml", "word/styles.xml"])
    assert.ok(text.includes(name), name);
  assert.ok(text.includes("Hello &amp; &lt;i&gt;welcome&lt;/i&gt;. Go --&gt; on."));
});

test("find: regardless of case and accents, with offsets in the text", () => {
  const texts = ["École, ECOLE", "Straße", "", "éé"];
  assert.deepEqual(find(texts, " ecole "), [
    { segment: 0, start: 0, end: 5 },
    { segment: 0, start: 7, end: 12 },
  ]);
  assert.deepEqual(find(["e\u0301cole"], "ecole"), [{ segment: 0, start: 0, end: 6 }]);
  assert.deepEqual(find(texts, "e").filter(({ segment }) => segment === 3).length, 2);
  assert.deepEqual(find(texts, "  "), []);
});
