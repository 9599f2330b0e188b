// How long something takes that reports its progress.

/** Seconds of which the pace is taken: a pause or a slow begin is forgotten after that. */
const WINDOW = 60;
/** Seconds without which a pace says nothing. */
const SHORTEST = 3;

/** The pace of the last minute, and what remains at that pace. */
export class Estimate {
  /** @type {{ at: number, done: number }[]} */
  #seen = [];

  /**
   * @param {number} done In any unit, the same each time; less than before means that the work was restarted.
   * @param {number} at In seconds.
   */
  add(done, at) {
    const last = this.#seen.at(-1);
    if (last && done < last.done) this.#seen = [];
    this.#seen.push({ at, done });
    while (this.#seen.length > 2 && at - this.#seen[0].at > WINDOW) this.#seen.shift();
  }

  /** Units per second, null while it is not known. */
  pace() {
    const [first, last] = [this.#seen.at(0), this.#seen.at(-1)];
    if (!first || !last || last.at - first.at < SHORTEST || last.done <= first.done) return null;
    return (last.done - first.done) / (last.at - first.at);
  }

  /**
   * Seconds until `total` is done, null while that is not known.
   *
   * @param {number} total
   */
  remaining(total) {
    const pace = this.pace();
    const last = this.#seen.at(-1);
    return pace === null || !last ? null : Math.max(0, (total - last.done) / pace);
  }
}
