// A ZIP archive of uncompressed files. Source: PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

/** @param {Uint8Array} bytes */
function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

/**
 * A record: a signature, then pairs of width in bytes and value, little-endian.
 *
 * @param {...[number, number]} fields
 */
function record(...fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [width]) => sum + width, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const [width, value] of fields) {
    if (width === 4) view.setUint32(at, value, true);
    else view.setUint16(at, value, true);
    at += width;
  }
  return bytes;
}

/** Version 2.0 needed, names in UTF-8, stored, 1 January 1980. */
const COMMON = /** @type {[number, number][]} */ ([
  [2, 20],
  [2, 0x0800],
  [2, 0],
  [2, 0],
  [2, 0x21],
]);

/**
 * @param {Record<string, string>} files Text by name.
 * @param {string} type The archive's media type.
 * @returns {Blob}
 */
export function zip(files, type) {
  const encoder = new TextEncoder();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const [path, text] of Object.entries(files)) {
    const [name, content] = [encoder.encode(path), encoder.encode(text)];
    const sizes = /** @type {[number, number][]} */ ([
      [4, crc32(content)],
      [4, content.length],
      [4, content.length],
      [2, name.length],
    ]);
    const head = record([4, 0x04034b50], ...COMMON, ...sizes, [2, 0]);
    parts.push(head, name, content);
    directory.push(
      record([4, 0x02014b50], [2, 20], ...COMMON, ...sizes, [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]),
      name,
    );
    offset += head.length + name.length + content.length;
  }
  const length = directory.reduce((sum, part) => sum + part.length, 0);
  const count = Object.keys(files).length;
  const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, length], [4, offset], [2, 0]);
  return new Blob([...parts, ...directory, end], { type });
}
