// What is known of something: names with values, and the comparisons that decided.

import { headOf, make, named } from "./dom.js";

/**
 * A list of names and values; a value that is null or empty is left out.
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
 * Evidence: the paths that were compared, with what was found and what was expected there.
 *
 * @param {import("./api.js").Schemas["Evidence"]} comparisons
 */
export function evidence(comparisons) {
  if (!comparisons.length) return make("p", { class: "note" }, "No evidence is kept.");
  const rows = comparisons.map(({ path, value, expected, expectedPath }) =>
    make(
      "tr",
      {},
      make("td", {}, label("Path"), named(path, "code")),
      make("td", {}, label("Is"), scalar(value)),
      make("td", {}, label("Expected"), scalar(expected), expectedPath ? named(expectedPath, "small") : null),
    ),
  );
  return make(
    "table",
    { class: "evidence" },
    make("caption", {}, "Evidence"),
    headOf(["Path", "Is", "Expected"]),
    make("tbody", {}, ...rows),
  );
}

// On a phone the head of the table is not shown.
const label = (/** @type {string} */ text) => make("span", { class: "label", "aria-hidden": "true" }, `${text} `);

/** @param {string | number | boolean | null | undefined} value */
function scalar(value) {
  if (value === null || value === undefined) return make("em", {}, "absent");
  return named(typeof value === "string" ? value : JSON.stringify(value), "code");
}
