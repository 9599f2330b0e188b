// Times, sizes and names of files.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Estimate } from "../../roles/portal/files/page/estimate.js";
import { clock, duration, fileName, size, stamp } from "../../roles/portal/files/page/formats.js";

test("clock", () => {
  assert.deepEqual([0, 9.99, 61, 724, 3600, 3840.2, 36_061, -1].map(clock), [
    "0:00",
    "0:09",
    "1:01",
    "12:04",
    "1:00:00",
    "1:04:00",
    "10:01:01",
    "0:00",
  ]);
});

test("stamps carry what is rounded", () => {
  assert.equal(stamp(59.9996, ","), "00:01:00,000");
  assert.equal(stamp(3661.0015, "."), "01:01:01.002");
  assert.equal(stamp(360_000, ","), "100:00:00,000");
});

test("sizes", () => {
  assert.equal(size(0, "en"), "0 bytes");
  assert.equal(size(999, "en"), "999 bytes");
  assert.equal(size(1500, "en"), "1.5 kB");
  assert.equal(size(61_400_000, "en"), "61 MB");
  assert.equal(size(5e12, "en"), "5,000 GB");
});

test("durations", () => {
  assert.deepEqual(
    [0.2, 12, 54, 55, 200, 5400].map((seconds) => duration(seconds, "en")),
    ["5 sec", "15 sec", "55 sec", "1 min", "3 min", "1.5 hr"],
  );
});

test("names of files suit every system", () => {
  assert.equal(fileName('a/b\\c:d*e?f"g<h>i|j\n', "srt"), "a-b-c-d-e-f-g-h-i-j-.srt");
  assert.equal(fileName(" ..", "txt"), "transcript.txt");
  assert.equal(fileName("x".repeat(500), "md").length, 123);
  assert.equal(fileName("Réunion d'équipe", "docx"), "Réunion d'équipe.docx");
});

test("an estimate needs some seconds, follows the pace and forgets a restart", () => {
  const estimate = new Estimate();
  estimate.add(0, 0);
  assert.equal(estimate.remaining(100), null);
  estimate.add(10, 5);
  assert.equal(estimate.remaining(100), 45);
  for (let at = 10; at <= 100; at += 5) estimate.add(10 + (at - 5), at);
  assert.equal(estimate.pace(), 1);
  estimate.add(0, 101);
  assert.equal(estimate.remaining(100), null);
});
