// A corrected transcript as a Word document: a title, and a paragraph per turn with its time and speaker.
// Source: ECMA-376 (Office Open XML), part 1, section 17, and part 2 (packages).

import { clock } from "./formats.js";
import { paragraphsOf } from "./text_exports.js";
import { zip } from "./zip.js";

/** @typedef {import("./text_exports.js").Document} Document */

const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
const PACKAGE = "http://schemas.openxmlformats.org/package/2006";
const OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
const PART = "application/vnd.openxmlformats-officedocument.wordprocessingml";

/**
 * Text as XML 1.0 can hold it: escaped, without control characters and halves of surrogate pairs.
 *
 * @param {string} text
 */
function xml(text) {
  return text
    .toWellFormed()
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;");
}

/**
 * @param {string} text
 * @param {string} [style]
 */
function run(text, style) {
  const properties = style ? `<w:rPr><w:rStyle w:val="${style}"/></w:rPr>` : "";
  return `<w:r>${properties}<w:t xml:space="preserve">${xml(text)}</w:t></w:r>`;
}

/**
 * @param {string} style
 * @param {...string} runs
 */
function paragraph(style, ...runs) {
  return `<w:p><w:pPr><w:pStyle w:val="${style}"/></w:pPr>${runs.join("")}</w:p>`;
}

/**
 * @param {string} kind
 * @param {string} id
 * @param {string} name
 * @param {string} looks
 */
function style(kind, id, name, looks) {
  const isDefault = id === "Normal" ? ' w:default="1"' : "";
  return `<w:style w:type="${kind}"${isDefault} w:styleId="${id}"><w:name w:val="${name}"/><w:qFormat/>${looks}</w:style>`;
}

/** @param {string | null} language */
function styles(language) {
  const spoken = language && /^[A-Za-z-]{2,20}$/.test(language) ? `<w:lang w:val="${language}"/>` : "";
  const font = '<w:rFonts w:ascii="Calibri" w:hAnsi="Calibri" w:cs="Calibri"/><w:sz w:val="22"/>';
  return (
    `${HEAD}<w:styles xmlns:w="${WORD}"><w:docDefaults><w:rPrDefault><w:rPr>${font}${spoken}</w:rPr></w:rPrDefault></w:docDefaults>` +
    style("paragraph", "Normal", "Normal", '<w:pPr><w:spacing w:after="160" w:line="276" w:lineRule="auto"/></w:pPr>') +
    style(
      "paragraph",
      "Title",
      "Title",
      '<w:pPr><w:spacing w:after="240"/></w:pPr><w:rPr><w:b/><w:sz w:val="36"/></w:rPr>',
    ) +
    style("character", "Speaker", "Speaker", "<w:rPr><w:b/></w:rPr>") +
    style("character", "Time", "Time", '<w:rPr><w:color w:val="666666"/></w:rPr>') +
    "</w:styles>"
  );
}

/** @param {Document} document */
function body(document) {
  const turns = paragraphsOf(document).map(({ start, speaker, text }) =>
    paragraph(
      "Normal",
      run(`${clock(start)}  `, "Time"),
      speaker === null ? "" : run(`${speaker}  `, "Speaker"),
      run(text),
    ),
  );
  const page =
    '<w:sectPr><w:pgSz w:w="11906" w:h="16838"/><w:pgMar w:top="1134" w:right="1134" w:bottom="1134" w:left="1134"/></w:sectPr>';
  return `${HEAD}<w:document xmlns:w="${WORD}"><w:body>${paragraph("Title", run(document.title))}${turns.join("")}${page}</w:body></w:document>`;
}

/**
 * @param {Document} document
 * @returns {Blob}
 */
export function docx(document) {
  const types =
    `<Types xmlns="${PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
    `<Override PartName="/word/document.xml" ContentType="${PART}.document.main+xml"/>` +
    `<Override PartName="/word/styles.xml" ContentType="${PART}.styles+xml"/></Types>`;
  const links = (/** @type {string} */ kind, /** @type {string} */ target) =>
    `${HEAD}<Relationships xmlns="${PACKAGE}/relationships"><Relationship Id="rId1" Type="${OFFICE}/${kind}" Target="${target}"/></Relationships>`;
  return zip(
    {
      "[Content_Types].xml": HEAD + types,
      "_rels/.rels": links("officeDocument", "word/document.xml"),
      "word/document.xml": body(document),
      "word/_rels/document.xml.rels": links("styles", "styles.xml"),
      "word/styles.xml": styles(document.language),
    },
    TYPE,
  );
}
