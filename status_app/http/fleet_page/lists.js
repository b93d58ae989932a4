// A list of the API on the page: as many pages as were asked for, and honest about what is missing.

import { get } from "./api.js";
import { make, setText, showRows } from "./dom.js";

/**
 * A list in a section that holds a heading, `.note`, an element for the rows and `.more`.
 *
 * @param section the section
 * @param rows the element that gets the rows
 * @param path, parameters what is asked; `parameters` is called for each round
 * @param keyOf, makeRow as showRows takes them
 * @param empty the sentence that stands where there is no row
 * @param order compares two items, where they are not shown in the order of the API
 * @param mayBeUnknown whether a 404 stands for an empty list
 * @param reload asks again, after one page more was asked for
 */
export class List {
  #pages = 1;
  #round = 0;
  #parts;
  #more;

  constructor({
    section, rows, path, parameters = () => ({}), keyOf, makeRow, empty, reload, order, mayBeUnknown = false,
  }) {
    this.path = path;
    this.order = order;
    this.mayBeUnknown = mayBeUnknown;
    this.parameters = parameters;
    this.empty = empty;
    this.#parts = { rows, keyOf, makeRow, note: section.querySelector(".note"), cut: section.querySelector(".more") };
    this.#parts.heading = section.querySelector("h2, h3, h4");
    this.#parts.number = this.#parts.heading.querySelector(".number");
    this.#more = make("button", { type: "button", onclick: () => this.#showMore(reload) }, "Show more");
    this.#parts.cut.replaceChildren(make("span"), " ", this.#more);
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
    const items = [];
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

  #show(items, cut) {
    const { rows, keyOf, makeRow, note, cut: more, number, heading } = this.#parts;
    showRows(rows, items, keyOf, makeRow, heading);
    setText(note, this.empty);
    note.hidden = items.length > 0 || cut;
    rows.hidden = items.length === 0;
    if (number) setText(number, items.length ? `${items.length}${cut ? "+" : ""}` : "");
    if (!cut && more.contains(document.activeElement)) heading.focus();
    more.hidden = !cut;
    setText(more.firstChild, `Cut off after ${items.length}: there are more.`);
  }

  async #get(parameters) {
    try {
      return await get(this.path, parameters);
    } catch (error) {
      if (error.status === 404 && this.mayBeUnknown) return { items: [], next: null };
      throw error;
    }
  }

  #showMore(reload) {
    this.#pages++;
    reload();
  }
}
