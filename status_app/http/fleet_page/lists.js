// A list of the API on the page: as many pages as were asked for, and honest about what is missing.

import { make, setText, showRows, within } from "./dom.js";
import { figure } from "./states.js";

/**
 * @template Item
 * @typedef {{items: Item[], next: string | null}} Page of a list
 */

/**
 * @template Item
 * @typedef {object} ListOf a list
 * @property {Element} section as `part` of dom.js makes one
 * @property {HTMLElement} rows the element that gets the rows
 * @property {(next: string | null) => Promise<Page<any>>} ask for a page; `next` of the one before, null for the first
 * @property {(items: any[]) => Item[]} [fold] makes rows of the items of all pages
 * @property {(item: Item) => string} keyOf as showRows takes it
 * @property {(item: Item) => import("./dom.js").Row<Item>} makeRow as above
 * @property {string} empty the sentence in the place of rows
 * @property {(items: Item[], isCut: boolean) => string} [number] beside the heading; how many there are by default
 * @property {string} [cut] the sentence where there are more
 * @property {() => void} reload asks again, after one page more was asked for
 */

/**
 * A list in a section.
 *
 * @template Item
 */
export class List {
  #pages = 1;
  #round = 0;
  #list;
  #more;
  #count;
  #heading;
  #note;
  #cut;

  /** @param {ListOf<Item>} list */
  constructor(list) {
    this.#list = list;
    this.#heading = within(list.section, "h2, h3");
    this.#note = within(list.section, ".note");
    this.#cut = within(list.section, ".more");
    this.#more = make("button", { type: "button", onclick: () => this.#showMore() }, "Show more");
    this.#count = make("span");
    this.#cut.replaceChildren(this.#count, " ", this.#more);
    list.rows.hidden = true;
  }

  /** Shows nothing, as before the first answer. */
  clear() {
    this.#pages = 1;
    this.#round++;
    this.#show([], false);
    setText(this.#note, "Loading");
    this.#note.hidden = false;
  }

  /** Asks for the list and shows it, unless it was cleared or asked for again meanwhile. */
  async load() {
    const round = ++this.#round;
    const { ask, fold = (/** @type {Item[]} */ all) => all } = this.#list;
    const items = [];
    /** @type {string | null} */
    let next = null;
    for (let page = 0; page < this.#pages && (page === 0 || next !== null); page++) {
      const answer = await ask(next);
      items.push(...answer.items);
      ({ next } = answer);
    }
    if (round === this.#round) this.#show(fold(items), next !== null);
  }

  /**
   * @param {Item[]} items
   * @param {boolean} isCut
   */
  #show(items, isCut) {
    const { rows, keyOf, makeRow, empty, number, cut } = this.#list;
    const shown = showRows(rows, items, keyOf, makeRow, this.#heading);
    setText(this.#note, empty);
    this.#note.hidden = shown > 0 || isCut;
    rows.hidden = shown === 0;
    const many = shown ? `${figure(shown)}${isCut ? "+" : ""}` : "";
    setText(within(this.#heading, ".number"), number ? number(items, isCut) : many);
    if (!isCut && this.#cut.contains(document.activeElement)) this.#heading.focus();
    this.#cut.hidden = !isCut;
    setText(this.#count, cut ?? `Cut off after ${figure(shown)}: there are more.`);
  }

  #showMore() {
    this.#pages++;
    this.#list.reload();
  }
}
