// When to load: at an interval, not while the page is hidden, and less and less often while the API does not answer.

const LONGEST = 300; // seconds between two tries

/**
 * @typedef {{node: Element, load: (byItself: boolean) => Promise<void>}} Source loads data and shows it in its element;
 *   `byItself`: it is time, and nobody asked for it
 * @typedef {Error & {status?: number, retryAfter?: number}} Failure an ApiError; without `status` a bug of the page
 * @typedef {{answeredAt: number | null, error: Failure | null}} Known by performance.now(); null: never
 */

/** Keeps the page up to date: loads its sources. */
export class Updates {
  paused = false;
  /** @type {number | null} */
  next = null; // when all are loaded again (performance.now()); null: not scheduled
  #every;
  #notify;
  /** @type {Map<Source, Known>} */
  #sources = new Map();
  /** @type {number | undefined} */
  #timer;
  #failures = 0;
  #asking = 0; // rounds in progress

  /**
   * @param {number} every seconds
   * @param {() => void} notify called after each change
   */
  constructor(every, notify) {
    this.#every = every;
    this.#notify = notify;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#stop();
      else if (!this.paused) this.now();
    });
  }

  /** When the oldest part of the page was loaded; null if a part never was. */
  get answeredAt() {
    const times = [...this.#sources.values()].map((source) => source.answeredAt);
    return times.every((time) => time !== null) ? Math.min(...times) : null;
  }

  /** The most important error of the sources; null if there is none. */
  get error() {
    const errors = [...this.#sources.values()].map((source) => source.error).filter((error) => error !== null);
    return errors.find((error) => error.status === 401) ?? errors[0] ?? null;
  }

  /** Each source and what is known about it. */
  get known() {
    return [...this.#sources];
  }

  /** Load these sources from now on. @param {...Source} sources */
  add(...sources) {
    for (const source of sources) this.#sources.set(source, { answeredAt: null, error: null });
    return this.#ask(sources);
  }

  /** @param {...Source} sources */
  remove(...sources) {
    for (const source of sources) this.#sources.delete(source);
  }

  /** Load all sources now. */
  now() {
    return this.#ask([...this.#sources.keys()]);
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.paused = paused;
    if (paused) {
      this.#stop();
      this.#notify();
    } else this.now();
  }

  /**
   * @param {Source[]} sources
   * @param {boolean} [byItself]
   */
  async #ask(sources, byItself = false) {
    this.#stop();
    this.#asking += 1;
    await Promise.all(sources.map((source) => this.#askOne(source, byItself)));
    this.#asking -= 1;
    if (this.#asking === 0) { // the last round in progress schedules the next one
      this.#failures = this.error ? this.#failures + 1 : 0;
      this.#schedule();
    }
    this.#notify();
  }

  /**
   * @param {Source} source
   * @param {boolean} byItself
   */
  async #askOne(source, byItself) {
    let error = null;
    try {
      await source.load(byItself);
    } catch (thrown) {
      error = /** @type {Failure} */ (thrown);
    }
    const known = this.#sources.get(source);
    if (!known) return; // removed meanwhile
    known.error = error;
    if (error === null) known.answeredAt = performance.now();
  }

  #schedule() {
    this.#stop();
    const { error } = this;
    if (this.paused || document.hidden || error?.status === 401) return; // retrying does not fix a wrong key
    const wait = Math.min(this.#every * 2 ** this.#failures, Math.max(this.#every, LONGEST));
    const seconds = Math.max(wait * (0.9 + 0.2 * Math.random()), error?.retryAfter ?? 0); // spreads the viewers
    this.next = performance.now() + seconds * 1000;
    this.#timer = setTimeout(() => this.#ask([...this.#sources.keys()], true), seconds * 1000);
  }

  #stop() {
    clearTimeout(this.#timer);
    this.next = null;
  }
}
