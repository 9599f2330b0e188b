// Records from the microphone. Every second of sound is stored at once, so that a closed tab loses no more than that.

import * as recordings from "./recordings.js";

/** Milliseconds of sound per piece. */
const PIECE = 1000;
/** 15 MB an hour, which suffices for speech in Opus. */
const BITS_PER_SECOND = 32_000;
/** In the order of preference: Chromium and Firefox, then Safari. */
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

/** Whether the browser can record. */
export const canRecord = "MediaRecorder" in globalThis && Boolean(navigator.mediaDevices?.getUserMedia);

/** What the browser records; the empty type is its own choice. */
function typeOf() {
  return TYPES.find((type) => MediaRecorder.isTypeSupported(type)) ?? "";
}

/** The extension of a file that the browser recorded. @param {string} type */
function extension(type) {
  return type.startsWith("audio/mp4") ? "m4a" : type.startsWith("audio/ogg") ? "ogg" : "webm";
}

/** One recording, from the first second to the file. */
export class Microphone {
  /** @type {MediaRecorder} */
  #recorder;
  /** @type {AnalyserNode} */
  #analyser;
  /** @type {AudioContext} */
  #context;
  /** @type {Blob[]} */
  #pieces = [];
  /** @type {Promise<unknown>} */
  #stored = Promise.resolve();
  /** @type {() => void} */
  #release = () => {};
  #milliseconds = 0;
  #since = 0;

  /** Set once a piece could not be stored. */
  isUnkept = false;

  /**
   * @param {MediaStream} stream
   * @param {string} id
   */
  constructor(stream, id) {
    this.id = id;
    this.#recorder = new MediaRecorder(stream, { mimeType: typeOf(), audioBitsPerSecond: BITS_PER_SECOND });
    this.#recorder.ondataavailable = ({ data }) => this.#keep(data);
    this.#context = new AudioContext();
    this.#analyser = this.#context.createAnalyser();
    this.#context.createMediaStreamSource(stream).connect(this.#analyser);
  }

  /**
   * Begins to record.
   *
   * @param {string} title
   * @param {recordings.Options} options
   * @param {string} service
   * @returns {Promise<Microphone>} Raises DOMException if the person or the browser allows no microphone.
   */
  static async begin(title, options, service) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    // Else the browser may make space for other sites with it.
    navigator.storage.persist();
    try {
      const type = typeOf();
      const fileName = `recording.${extension(type)}`;
      const { id } = await recordings.add({
        title,
        options,
        service,
        fileName,
        bytes: 0,
        type,
        state: "recording",
        kept: true,
      });
      const microphone = new Microphone(stream, id);
      await microphone.#hold();
      microphone.#recorder.start(PIECE);
      microphone.#since = Date.now();
      return microphone;
    } catch (error) {
      stream.getTracks().forEach((track) => track.stop());
      throw error;
    }
  }

  /** Holds the lock that says to all tabs that this recording is still running. */
  #hold() {
    return new Promise((held) => {
      navigator.locks.request(lockOf(this.id), () => {
        held(undefined);
        return new Promise((release) => (this.#release = () => release(undefined)));
      });
    });
  }

  /** @param {Blob} piece */
  #keep(piece) {
    if (!piece.size) return;
    const number = this.#pieces.push(piece) - 1;
    this.#stored = this.#stored.then(() =>
      recordings.putPiece(this.id, number, piece).catch(() => {
        this.isUnkept = true;
      }),
    );
  }

  get type() {
    return this.#recorder.mimeType;
  }

  get isPaused() {
    return this.#recorder.state === "paused";
  }

  /** Seconds recorded so far. */
  get seconds() {
    return (this.#milliseconds + (this.isPaused ? 0 : Date.now() - this.#since)) / 1000;
  }

  /** The present level, from 0 to 1, on a scale that speech fills. */
  get level() {
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(samples);
    const decibels =
      20 * Math.log10(Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length) || 1e-6);
    return Math.min(1, Math.max(0, (decibels + 60) / 50));
  }

  pause() {
    this.#milliseconds += Date.now() - this.#since;
    this.#recorder.pause();
  }

  resume() {
    this.#since = Date.now();
    this.#recorder.resume();
  }

  /** Ends the recording, which then waits to be sent. */
  async finish() {
    await new Promise((resolve) => {
      this.#recorder.onstop = resolve;
      this.#recorder.stop();
    });
    this.#recorder.stream.getTracks().forEach((track) => track.stop());
    await this.#context.close();
    await this.#stored;
    const audio = new Blob(this.#pieces, { type: this.type });
    if (this.isUnkept) {
      // The transcript will need the space of the pieces, which are incomplete.
      recordings.holdAudio(this.id, audio);
      await recordings.removePieces(this.id);
    }
    await recordings.change(this.id, { state: "waiting", bytes: audio.size, kept: !this.isUnkept }, ["recording"]);
    this.#release();
  }
}

/** @param {string} id */
function lockOf(id) {
  return `microphone-${id}`;
}

/** Rescues recordings whose tab was closed; they are not sent before somebody says so. */
export async function recover() {
  for (const { id, state } of await recordings.list()) {
    if (state !== "recording") continue;
    await navigator.locks.request(lockOf(id), { ifAvailable: true }, async (lock) => {
      if (!lock) return;
      const audio = await recordings.audioOf(id);
      if (audio) await recordings.change(id, { state: "stored", recovered: true, bytes: audio.size }, ["recording"]);
      else await recordings.remove(id);
    });
  }
}
