// The rows of a list. While somebody uses the page, nothing moves by itself: a button says what would.

import { make, setText } from "./dom.js";

const AT_REST = 30_000; // milliseconds without a key, a pointer or a touch

/**
 * One row of a list: its element, a function that updates it, and the item that it shows.
 *
 * @template Item
 * @typedef {{node: HTMLElement, update: (item: Item) => void, item?: Item}} Row
 */

/**
 * @template Item
 * @typedef {object} Rows the rows of a list
 * @property {HTMLElement & {moveBefore?: (node: Node, place: Node | null) => void}} rows their parent
 * @property {HTMLElement} heading beside which the button stands; gets the focus if the focused row is removed
 * @property {(item: Item) => string} keyOf the id of an item
 * @property {(item: Item) => Row<Item>} makeRow for a new item
 * @property {(shown: number) => void} [onShown] called with the number of rows that are shown now
 */

/** @type {WeakMap<Element, {rows: Map<string, Row<any>>, button: HTMLElement}>} */
const shownIn = new WeakMap();

let usedAt = -AT_REST;
const note = () => { usedAt = performance.now(); };
for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) addEventListener(kind, note, { capture: true, passive: true });

/**
 * Show one row for each item. A row keeps its element as long as its item is listed, so that an update moves neither the
 * focus nor closes open details.
 *
 * @template Item
 * @param {Rows<Item>} list
 * @param {Item[]} items
 * @param {boolean} [byItself] whether nobody asked for this update
 */
export function showRows(list, items, byItself = false) {
  const { rows: parent, heading, keyOf } = list;
  const shown = shownIn.get(parent) ?? { rows: new Map(), button: make("button", { type: "button", class: "held" }) };
  /** @type {Map<string, Item>} */
  const listed = new Map();
  for (const item of items) if (!listed.has(keyOf(item))) listed.set(keyOf(item), item); // lists change between two pages
  const isUsed = byItself && shown.rows.size > 0 && performance.now() - usedAt < AT_REST;
  const held = isUsed ? hold(shown.rows, listed) : "";
  if (!held) shown.rows = arrange(list, listed, shown.rows);
  shown.button.onclick = () => showRows(list, items);
  setText(shown.button, `Show ${held}`);
  if (held && !shown.button.isConnected) heading.after(shown.button);
  if (!held && shown.button === document.activeElement) heading.focus();
  if (!held) shown.button.remove();
  shownIn.set(parent, shown);
  list.onShown?.(shown.rows.size);
}

/**
 * Update the rows in which nothing moves; return what else would change, empty if nothing would.
 *
 * @template Item
 * @param {Map<string, Row<Item>>} rows
 * @param {Map<string, Item>} listed
 */
function hold(rows, listed) {
  const before = [...rows.keys()], after = [...listed.keys()];
  const come = after.filter((key) => !rows.has(key)).length, gone = before.filter((key) => !listed.has(key)).length;
  const changed = after.filter((key) => !fits(rows.get(key), listed.get(key))).length;
  const all = [come && `${come} new`, gone && `${gone} gone`, changed && `${changed} changed`].filter(Boolean).join(", ");
  return all || (before.some((key, place) => key !== after[place]) ? "the new order" : "");
}

/**
 * Show an item in its row, unless that changes its height or moves what is in it. Return false if it does.
 *
 * @template Item
 * @param {Row<Item> | undefined} row
 * @param {Item | undefined} item
 */
function fits(row, item) {
  if (!row || !item || isShown(row, item)) return true;
  const { node, item: before } = row, { offsetHeight: height } = node;
  /** @type {[HTMLElement, number][]} */
  const tops = [...node.querySelectorAll("*")].filter((one) => one instanceof HTMLElement).map((one) => [one, one.offsetTop]);
  update(row, item);
  const isSame = node.offsetHeight === height && tops.every(([one, top]) => !one.isConnected || one.offsetTop === top);
  if (!isSame && before) update(row, before);
  return isSame;
}

/**
 * @template Item
 * @param {Row<Item>} row
 * @param {Item} item
 */
function update(row, item) {
  if (!isShown(row, item)) row.update(item);
  row.item = item;
}

/**
 * @template Item
 * @param {Row<Item>} row
 * @param {Item} item
 */
const isShown = (row, item) => JSON.stringify(row.item) === JSON.stringify(item);

/**
 * @template Item
 * @param {Rows<Item>} list
 * @param {Map<string, Item>} items
 * @param {Map<string, Row<Item>>} before
 */
function arrange({ rows: parent, heading, makeRow }, items, before) {
  /** @type {Map<string, Row<Item>>} */
  const after = new Map();
  for (const [key, item] of items) {
    const row = before.get(key) ?? makeRow(item);
    update(row, item);
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
  return after;
}
