// What is asked of a service: its address and form fields.

import { speakerService, textService } from "./configuration.js";

/** @typedef {import("./configuration.js").Service} Service */
/** @typedef {import("./recordings.js").Options} Options */

/**
 * @param {Options} options
 * @returns {Service | null} Null where no service can do that.
 */
export function serviceFor(options) {
  return options.speakers ? speakerService : textService;
}

/**
 * @param {string} service
 * @param {Options} options
 * @param {Blob} audio
 * @param {string} fileName
 * @returns {{ path: string, form: FormData }}
 */
export function order(service, options, audio, fileName) {
  const form = new FormData();
  if (options.language) form.append("language", options.language);
  if (options.words) form.append("hotwords", options.words);
  if (options.speakers) {
    form.append("diarize", "true");
    form.append("word_timestamps", "true");
    if (options.count) form.append("num_speakers", String(options.count));
  } else {
    form.append("model", "whisper-1");
    form.append("response_format", "verbose_json");
    form.append("timestamp_granularities[]", "segment");
    form.append("timestamp_granularities[]", "word");
  }
  // Last: a server that rejects a field has not read the file yet.
  form.append("file", audio, fileName);
  return { path: `/services/${service}/${options.speakers ? "transcribe" : "v1/audio/transcriptions"}`, form };
}
