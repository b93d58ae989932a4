// Elements. Every text that comes from a device goes through here, and becomes a text node: nothing is parsed as HTML.

/** An element with attributes, listeners (`onclick`) and children; strings are text, null is left out. */
export function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Something a person named: it may be long, and written from right to left. */
export const named = (text, tag = "bdi") => make(tag, { class: "name" }, text);

/** The head of a table; a name of `figures` stands over numbers. */
export function headOf(names, figures = []) {
  const kind = (name) => (figures.includes(name) ? "figure" : null);
  const heads = names.map((name) => make("th", { scope: "col", class: kind(name) }, name));
  return make("thead", {}, make("tr", {}, ...heads));
}

let ids = 0;
export const newId = () => `n${++ids}`;

const shownIn = new WeakMap();

/**
 * Shows one row for each item: a row keeps its element for as long as its item is there, so that an update takes
 * neither the focus nor what is open.
 *
 * @param keyOf what tells an item from the others
 * @param makeRow gives {node, update(item), gone()} for a new item
 * @param heading gets the focus where the row that had it goes
 */
export function showRows(parent, items, keyOf, makeRow, heading) {
  const before = shownIn.get(parent) ?? new Map();
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
  let place = before.size ? [...before.values()].find((row) => row.node.isConnected)?.node ?? null : null;
  for (const { node } of after.values()) {
    if (node === place) place = node.nextElementSibling;
    else if (node.isConnected && parent.moveBefore) parent.moveBefore(node, place); // it keeps the focus
    else parent.insertBefore(node, place);
  }
  shownIn.set(parent, after);
}
