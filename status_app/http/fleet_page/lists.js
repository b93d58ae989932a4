// A list of the API: as many pages as were requested, and a note if there are more.

import { make, setText, within } from "./dom.js";
import { showRows } from "./rows.js";
import { figure } from "./states.js";

/**
 * @template Item
 * @typedef {{items: Item[], next: string | null}} Page of a list
 */

/**
 * @template Item
 * @typedef {object} ListOf a list
 * @property {Element} section made by `part` of dom.js
 * @property {HTMLElement} rows the element that gets the rows
 * @property {(next: string | null) => Promise<Page<any>>} ask fetches a page, from `next` on
 * @property {(items: any[]) => Item[]} [fold] turns the items of all pages into rows
 * @property {(item: Item) => string} keyOf see showRows
 * @property {(item: Item) => import("./rows.js").Row<Item>} makeRow see showRows
 * @property {string} empty the sentence for an empty list
 * @property {(items: Item[], isCut: boolean) => string} [number] next to the heading; by default the number of items
 * @property {string} [cut] the sentence if there are more
 * @property {() => void} reload fetches again after another page was requested
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

  /** Show nothing, as before the first answer. */
  clear() {
    this.#pages = 1;
    this.#round++;
    this.#show([], false, false);
    setText(this.#note, "Loading");
    this.#note.hidden = false;
  }

  /** Fetch the list and show it, unless it was cleared or fetched again meanwhile. @param {boolean} byItself */
  async load(byItself) {
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
    if (round === this.#round) this.#show(fold(items), next !== null, byItself);
  }

  /**
   * @param {Item[]} items
   * @param {boolean} isCut
   * @param {boolean} byItself
   */
  #show(items, isCut, byItself) {
    const { rows, empty, number, cut } = this.#list;
    setText(this.#note, empty);
    if (!isCut && this.#cut.contains(document.activeElement)) this.#heading.focus();
    this.#cut.hidden = !isCut;
    const onShown = (/** @type {number} */ shown) => {
      this.#note.hidden = shown > 0 || isCut;
      rows.hidden = shown === 0;
      const many = shown ? `${figure(shown)}${isCut ? "+" : ""}` : "";
      setText(within(this.#heading, ".number"), number ? number(items, isCut) : many);
      setText(this.#count, cut ?? `The first ${figure(shown)} are shown: there are more.`);
    };
    showRows({ ...this.#list, heading: this.#heading, onShown }, items, byItself);
  }

  #showMore() {
    this.#pages++;
    this.#list.reload();
  }
}
