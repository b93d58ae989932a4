// When the API is asked: at an interval, not while nobody looks, and ever more rarely while it does not answer.

const LONGEST = 300; // seconds between two tries

/**
 * @typedef {{node: Element, load: () => Promise<void>}} Source asks, and shows in its element what it got
 * @typedef {Error & {status?: number, retryAfter?: number}} Failure an ApiError; without them a fault of the page
 * @typedef {{answeredAt: number | null, error: Failure | null}} Known of a source: performance.now(), null: never
 */

/** Keeps what is shown up to date: asks its sources. */
export class Updates {
  paused = false;
  /** @type {number | null} */
  next = null; // when all are asked again (performance.now()); null: not by itself
  #every;
  #tell;
  /** @type {Map<Source, Known>} */
  #sources = new Map();
  /** @type {number | undefined} */
  #timer;
  #failures = 0;
  #asking = 0; // rounds under way

  /**
   * @param {number} every seconds
   * @param {() => void} tell called after each change
   */
  constructor(every, tell) {
    this.#every = every;
    this.#tell = tell;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#stop();
      else if (!this.paused) this.now();
    });
  }

  /** When the oldest of what is shown was answered; null where something never was. */
  get answeredAt() {
    const times = [...this.#sources.values()].map((source) => source.answeredAt);
    return times.every((time) => time !== null) ? Math.min(...times) : null;
  }

  /** What went wrong with a source, null where nothing did. */
  get error() {
    const errors = [...this.#sources.values()].map((source) => source.error).filter((error) => error !== null);
    return errors.find((error) => error.status === 401) ?? errors[0] ?? null;
  }

  /** What is known of each source. */
  get known() {
    return [...this.#sources];
  }

  /** Asks these from now on. @param {...Source} sources */
  add(...sources) {
    for (const source of sources) this.#sources.set(source, { answeredAt: null, error: null });
    return this.#ask(sources);
  }

  /** @param {...Source} sources */
  remove(...sources) {
    for (const source of sources) this.#sources.delete(source);
  }

  /** Asks all now. */
  now() {
    return this.#ask([...this.#sources.keys()]);
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    if (paused) {
      this.#stop();
      this.#tell();
    } else this.now();
  }

  /** @param {Source[]} sources */
  async #ask(sources) {
    this.#stop();
    this.#asking += 1;
    await Promise.all(sources.map((source) => this.#askOne(source)));
    this.#asking -= 1;
    if (this.#asking === 0) { // else the last of those under way says when to ask again
      this.#failures = this.error ? this.#failures + 1 : 0;
      this.#schedule();
    }
    this.#tell();
  }

  /** @param {Source} source */
  async #askOne(source) {
    let error = null;
    try {
      await source.load();
    } catch (thrown) {
      error = /** @type {Failure} */ (thrown);
    }
    const known = this.#sources.get(source);
    if (!known) return; // it was removed meanwhile
    known.error = error;
    if (error === null) known.answeredAt = performance.now();
  }

  #schedule() {
    this.#stop();
    const { error } = this;
    if (this.paused || document.hidden || error?.status === 401) return; // a key gets no better by itself
    const wait = Math.min(this.#every * 2 ** this.#failures, Math.max(this.#every, LONGEST));
    const seconds = Math.max(wait * (0.9 + 0.2 * Math.random()), error?.retryAfter ?? 0); // not all viewers at once
    this.next = performance.now() + seconds * 1000;
    this.#timer = setTimeout(() => this.now(), seconds * 1000);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.next = null;
  }
}
