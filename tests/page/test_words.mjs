// The page's words: the same in every language, and all of them used.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { english } from "../../roles/portal/files/page/english.js";
import { french } from "../../roles/portal/files/page/french.js";

const PAGE = new URL("../../roles/portal/files/page/", import.meta.url);
const CODE = readdirSync(PAGE)
  .filter((name) => name.endsWith(".js") && !["english.js", "french.js"].includes(name))
  .map((name) => readFileSync(new URL(name, PAGE), "utf-8"))
  .join("\n");

/** Keys that code puts together. */
const MADE = /^(state|stage|error)\./;

const placeholders = (text) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

for (const [key, text] of Object.entries(english)) {
  test(`${key} has the same values in French`, () => assert.deepEqual(placeholders(french[key]), placeholders(text)));
  if (!MADE.test(key)) test(`${key} is used`, () => assert.ok(CODE.includes(`"${key}"`)));
}

test("French has no plain space before two-part punctuation, which could begin a line", () => {
  const wrong = Object.values(french).filter((text) => / [:;?!»]|« /.test(text));
  assert.deepEqual(wrong, []);
});

test("every problem that code gives a recording has words", () => {
  const codes = [...CODE.matchAll(/code: "(\w+)"/g)].map(([, code]) => code);
  assert.ok(codes.length > 5);
  assert.deepEqual(
    codes.filter((code) => !(`error.${code}` in english)),
    [],
  );
});
