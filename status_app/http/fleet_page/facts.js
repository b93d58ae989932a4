// Facts: names with values, and the comparisons behind a state.

import { make, named, table, tableRow } from "./dom.js";

/** @type {[head: string, kind: string][]} */
const COLUMNS = [["Path", "path"], ["Is", "is"], ["Expected", "expected"]];

/**
 * Make a list of names and values; null and empty values are skipped.
 *
 * @param {[name: string, value: Node | string | number | null][]} entries
 */
export function facts(entries) {
  const list = make("dl", { class: "facts" });
  for (const [name, value] of entries) {
    if (value === null || value === "") continue;
    const shown = value instanceof Node ? value : named(`${value}`);
    list.append(make("div", {}, make("dt", {}, name), make("dd", {}, shown)));
  }
  return list;
}

/**
 * Show the evidence: the compared paths, with the value found and the value expected.
 *
 * @param {import("./api.js").Schemas["Evidence"]} comparisons
 */
export function evidence(comparisons) {
  if (!comparisons.length) return make("p", { class: "note" }, "No evidence is stored.");
  const rows = comparisons.map(({ path, value, expected, expectedPath }) => {
    const wanted = make("div", {}, scalar(expected), expectedPath ? named(expectedPath, "small") : null);
    return tableRow(COLUMNS, [named(path, "code"), scalar(value), wanted]);
  });
  const node = table("evidence", COLUMNS);
  node.append(make("tbody", { role: "rowgroup" }, ...rows));
  return node;
}

/** @param {string | number | boolean | null | undefined} value */
function scalar(value) {
  if (value === null || value === undefined) return make("em", {}, "absent");
  return named(typeof value === "string" ? value : JSON.stringify(value), "code");
}
