// DOM helpers. Every text from a device becomes a text node here: nothing is parsed as HTML.

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
