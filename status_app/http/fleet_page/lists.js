// A list of the API on the page: as many pages as were asked for, and honest about what is missing.

import { get, isUnknown } from "./api.js";
import { make, setText, showRows, within } from "./dom.js";

/**
 * @template Item
 * @typedef {object} ListOf a list
 * @property {Element} section holds a heading, `.note`, an element for the rows and `.more`
 * @property {HTMLElement} rows the element that gets the rows
 * @property {string} path what is asked
 * @property {() => import("./api.js").Parameters} [parameters] called for each round
 * @property {(item: Item) => string} keyOf as showRows takes it
 * @property {(item: Item) => import("./dom.js").Row<Item>} makeRow as above
 * @property {string} empty the sentence that stands where there is no row
 * @property {(a: Item, b: Item) => number} [order] where they are not shown in the order of the API
 * @property {boolean} [mayBeUnknown] whether a 404 stands for an empty list
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
  #parts;
  #more;
  #count;

  /** @param {ListOf<Item>} list */
  constructor({
    section, rows, path, parameters = () => ({}), keyOf, makeRow, empty, reload, order, mayBeUnknown = false,
  }) {
    this.path = path;
    this.order = order;
    this.mayBeUnknown = mayBeUnknown;
    this.parameters = parameters;
    this.empty = empty;
    const heading = within(section, "h2, h3, h4");
    const number = heading.querySelector(".number"); // not every heading has one
    const note = within(section, ".note"), cut = within(section, ".more");
    this.#parts = { rows, keyOf, makeRow, note, cut, heading, number };
    this.#more = make("button", { type: "button", onclick: () => this.#showMore(reload) }, "Show more");
    this.#count = make("span");
    cut.replaceChildren(this.#count, " ", this.#more);
  }

  /** Shows nothing, as before the first answer. */
  clear() {
    this.#pages = 1;
    this.#round++;
    this.#show([], false);
    setText(this.#parts.note, "Loading");
    this.#parts.note.hidden = false;
  }

  /** Asks for the list and shows it, unless it was cleared or asked for again meanwhile. */
  async load() {
    const round = ++this.#round;
    const parameters = this.parameters(); // the same for all pages: a token belongs to them
    /** @type {Item[]} */
    const items = [];
    /** @type {string | null} */
    let next = null;
    for (let page = 0; page < this.#pages && (page === 0 || next !== null); page++) {
      const answer = await this.#get({ ...parameters, next });
      items.push(...answer.items);
      next = answer.next;
    }
    if (round !== this.#round) return;
    if (this.order) items.sort(this.order);
    this.#show(items, next !== null);
  }

  /**
   * @param {Item[]} items
   * @param {boolean} cut
   */
  #show(items, cut) {
    const { rows, keyOf, makeRow, note, cut: more, number, heading } = this.#parts;
    showRows(rows, items, keyOf, makeRow, heading);
    setText(note, this.empty);
    note.hidden = items.length > 0 || cut;
    rows.hidden = items.length === 0;
    if (number) setText(number, items.length ? `${items.length}${cut ? "+" : ""}` : "");
    if (!cut && more.contains(document.activeElement)) heading.focus();
    more.hidden = !cut;
    setText(this.#count, `Cut off after ${items.length}: there are more.`);
  }

  /** @param {import("./api.js").Parameters} parameters */
  async #get(parameters) {
    try {
      return await get(this.path, parameters);
    } catch (error) {
      if (isUnknown(error) && this.mayBeUnknown) return { items: [], next: null };
      throw error;
    }
  }

  /** @param {() => void} reload */
  #showMore(reload) {
    this.#pages++;
    reload();
  }
}
