// Elements. Every text that comes from a device goes through here, and becomes a text node: nothing is parsed as HTML.

/**
 * What a list shows of an item: an element, and how it follows the item.
 *
 * @template Item
 * @typedef {{node: HTMLElement, update: (item: Item) => void, gone?: () => void, value?: string}} Row
 */

/**
 * An element with attributes, listeners (`onclick`) and children; strings are text, null is left out.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | (() => void) | null>} [attributes]
 * @param {...(Node | string | null)} children
 */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** The element of an id, which page.html has. @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * What a selector finds first in an element that holds it.
 *
 * @param {Element} node
 * @param {string} selector
 */
export const within = (node, selector) => /** @type {HTMLElement} */ (node.querySelector(selector));

/**
 * @param {Node} node
 * @param {string} text
 */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Something a person named: it may be long, and written from right to left.
 *
 * @param {string} text
 * @param {keyof HTMLElementTagNameMap} [tag]
 */
export const named = (text, tag = "bdi") => make(tag, { class: "name" }, text);

/**
 * The head of a table; a name of `figures` stands over numbers.
 *
 * @param {string[]} names
 * @param {string[]} [figures]
 */
export function headOf(names, figures = []) {
  const kind = (/** @type {string} */ name) => (figures.includes(name) ? "figure" : null);
  const heads = names.map((name) => make("th", { scope: "col", class: kind(name) }, name));
  return make("thead", {}, make("tr", {}, ...heads));
}

let ids = 0;
export const newId = () => `n${++ids}`;

/** @type {WeakMap<Element, Map<string, Row<any>>>} */
const shownIn = new WeakMap();

/**
 * Shows one row for each item: a row keeps its element for as long as its item is there, so that an update takes
 * neither the focus nor what is open.
 *
 * @template Item
 * @param {HTMLElement & {moveBefore?: (node: Node, place: Node | null) => void}} parent
 * @param {Item[]} items
 * @param {(item: Item) => string} keyOf what tells an item from the others
 * @param {(item: Item) => Row<Item>} makeRow of a new item
 * @param {HTMLElement} heading gets the focus where the row that had it goes
 */
export function showRows(parent, items, keyOf, makeRow, heading) {
  /** @type {Map<string, Row<Item>>} */
  const before = shownIn.get(parent) ?? new Map();
  /** @type {Map<string, Row<Item>>} */
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (after.has(key)) continue; // the list moved on between two of its pages
    const row = before.get(key) ?? makeRow(item);
    const value = JSON.stringify(item);
    if (row.value !== value) row.update(item);
    row.value = value;
    after.set(key, row);
  }
  for (const [key, row] of before) {
    if (after.has(key)) continue;
    if (row.node.contains(document.activeElement)) heading.focus();
    row.gone?.();
    row.node.remove();
  }
  /** @type {Element | null} */
  let place = [...before.values()].find((row) => row.node.isConnected)?.node ?? null;
  for (const { node } of after.values()) {
    if (node === place) place = node.nextElementSibling;
    else if (node.isConnected && parent.moveBefore) parent.moveBefore(node, place); // it keeps the focus
    else parent.insertBefore(node, place);
  }
  shownIn.set(parent, after);
}
