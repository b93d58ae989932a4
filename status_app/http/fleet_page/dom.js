// DOM helpers. Every text from a device becomes a text node here: nothing is parsed as HTML.

/**
 * One row of a list: its element, and a function that updates it.
 *
 * @template Item
 * @typedef {{node: HTMLElement, update: (item: Item) => void, value?: string}} Row
 */

/**
 * Make an element with attributes, listeners (`onclick`) and children. Strings become text nodes, null is skipped.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, string | ((event: Event) => void) | null>} [attributes]
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

/** Return an element of page.html by its id. @param {string} id */
export const byId = (id) => /** @type {HTMLElement} */ (document.getElementById(id));

/**
 * Return the first match of a selector within an element.
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

const SHORT = 24; // characters that fit on one line, and are never hyphenated

/**
 * Show a name that a person chose: it can be long, or right-to-left. Images and paths break after a slash or a dot.
 *
 * @param {string} text
 * @param {keyof HTMLElementTagNameMap} [tag]
 */
export function named(text, tag = "bdi") {
  if (text.length <= SHORT) return make(tag, { class: "name short" }, text);
  const parts = text.split(/(?<=[/@.])/u).flatMap((piece, place) => (place ? [make("wbr"), piece] : [piece]));
  return make(tag, { class: "name" }, ...parts);
}

/**
 * @param {string} address
 * @param {...(Node | string)} children
 */
export const link = (address, ...children) => make("a", { href: address }, ...children);

let ids = 0;
export const newId = () => `n${++ids}`;

/**
 * Make a part of a view: a heading, the age of its data, a note for when it is empty, and its body.
 *
 * @param {string} title
 * @param {...(Node | string)} body
 */
export function part(title, ...body) {
  const id = newId();
  const heading = make("h2", { id, tabindex: "-1" }, `${title} `, make("span", { class: "number" }));
  return make(
    "section",
    { "aria-labelledby": id },
    make("div", { class: "head" }, heading, make("p", { class: "asof" })),
    make("p", { class: "note" }, "Loading"),
    ...body,
    make("p", { class: "more", hidden: "" }),
  );
}

/**
 * Make a table that CSS turns into cards on a phone. The roles keep it a table for screen readers.
 *
 * @param {string} kind its class
 * @param {[head: string, kind: string][]} columns and the class of their cells
 */
export function table(kind, columns) {
  const heads = columns.map(([head, of]) => make("th", { scope: "col", role: "columnheader", class: of }, head));
  const top = make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads));
  return make("table", { class: `cards ${kind}`, role: "table" }, top);
}

/**
 * Make a row of such a table. A card leaves out empty cells.
 *
 * @param {[head: string, kind: string][]} columns
 * @param {(Node | string | null)[]} cells
 */
export function tableRow(columns, cells) {
  const made = columns.map(([head, kind], place) => {
    const content = cells[place] ?? "";
    const label = make("span", { class: "label", "aria-hidden": "true" }, head);
    return make("td", { class: content === "" ? `${kind} blank` : kind, role: "cell" }, label, content);
  });
  return make("tr", { role: "row" }, ...made);
}

/** @type {WeakMap<Element, Map<string, Row<any>>>} */
const shownIn = new WeakMap();

/**
 * Show one row for each item. A row keeps its element as long as its item is listed, so that an update moves
 * neither the focus nor closes open details.
 *
 * @template Item
 * @param {HTMLElement & {moveBefore?: (node: Node, place: Node | null) => void}} parent
 * @param {Item[]} items
 * @param {(item: Item) => string} keyOf the id of an item
 * @param {(item: Item) => Row<Item>} makeRow for a new item
 * @param {HTMLElement} heading gets the focus if the focused row is removed
 */
export function showRows(parent, items, keyOf, makeRow, heading) {
  /** @type {Map<string, Row<Item>>} */
  const before = shownIn.get(parent) ?? new Map();
  /** @type {Map<string, Row<Item>>} */
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (after.has(key)) continue; // the list changed between two pages
    const row = before.get(key) ?? makeRow(item);
    const value = JSON.stringify(item);
    if (row.value !== value) row.update(item);
    row.value = value;
    after.set(key, row);
  }
  for (const [key, row] of before) {
    if (after.has(key)) continue;
    if (row.node.contains(document.activeElement)) heading.focus();
    row.node.remove();
  }
  /** @type {Element | null} */
  let place = [...before.values()].find((row) => row.node.isConnected)?.node ?? null;
  for (const { node } of after.values()) {
    if (node === place) place = node.nextElementSibling;
    else if (node.isConnected && parent.moveBefore) parent.moveBefore(node, place); // keeps the focus
    else parent.insertBefore(node, place);
  }
  shownIn.set(parent, after);
  return after.size;
}
