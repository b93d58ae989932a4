// The modules of a device, those not as desired first: images, exit code, restarts, reason and advice.

import { whatToDo, withoutAdvice } from "./advice.js";
import { make, named, table, tableRow } from "./dom.js";
import { evidence } from "./facts.js";
import { showRows } from "./rows.js";
import { rank, stateBadge, stuckBadge, words } from "./states.js";
import { age } from "./times.js";

/**
 * @typedef {import("./api.js").Device} Device
 * @typedef {import("./api.js").Module} Module
 * @typedef {{module: Module, compared: import("./api.js").Schemas["Evidence"], advice: string | undefined,
 *   isShown: boolean}} Item a module; `isShown`: the device shows the same advice already
 */

/** @type {[head: string, kind: string][]} */
const COLUMNS = [
  ["Module", "who"], ["State", "of-state"], ["Image", "image"], ["Exit code", "figure"], ["Restarts", "figure"],
  ["For", "figure"],
];

/** The table of modules; `show` takes a device. */
export function modules() {
  const heading = make("h3", { tabindex: "-1" }, "Modules"), rows = table("modules", COLUMNS);
  const node = make("div", { class: "of-device" }, heading, rows);

  /**
   * @param {Device} device
   * @param {boolean} byItself
   */
  function show({ reason, moduleStates, modules: { total, settled }, evidence: all, advice }, byItself) {
    heading.textContent = `Modules: ${settled} of ${total} as desired`;
    rows.hidden = total === 0;
    const items = moduleStates.map((module) => ({
      module, compared: all[module.module] ?? [], advice: advice[module.reason], isShown: reason === module.reason,
    }));
    items.sort((a, b) => Number(b.module.stuck) - Number(a.module.stuck) || rank(a.module.state) - rank(b.module.state));
    showRows({ rows, heading, keyOf: ({ module }) => module.module, makeRow: row }, items, byItself);
  }
  return { node, show };
}

/** @param {Item} item */
function row({ module: { module: name } }) {
  const compared = make("div");
  const why = make("details", {}, make("summary", {}, "Evidence"), compared);
  const said = make("div");
  const detail = make("tr", { role: "row", class: "detail" }, make("td", { role: "cell", colspan: `${COLUMNS.length}` }, said, why));
  const node = make("tbody", { role: "rowgroup" });

  /** @param {Item} item */
  function update({ module, compared: found, advice, isShown }) {
    const states = make("span", {}, stateBadge(module.state), ...(module.stuck ? [" ", stuckBadge()] : []));
    const cells = [
      named(name), states, images(module), shown(module.exitCode), shown(module.restartCount), age(module.since, "for"),
    ];
    const isPlain = ["settled", "pending"].includes(module.state) && !module.stuck; // the device itself shows pending
    said.replaceChildren(
      make("p", { class: "why" }, make("b", {}, words(module.reason)), " ", named(withoutAdvice(module.message, advice))),
      ...[isShown ? null : whatToDo(advice)].filter((part) => part !== null),
    );
    compared.replaceChildren(evidence(found));
    why.hidden = found.length === 0;
    detail.hidden = isPlain;
    const before = node.firstElementChild;
    if (before) before.replaceWith(tableRow(COLUMNS, cells)); // keeps open details open
    else node.append(tableRow(COLUMNS, cells), detail);
  }
  return { node, update };
}

/** Show the image that runs, and the desired one if it differs. @param {Module} module */
function images({ desiredImage, reportedImage }) {
  if (desiredImage === reportedImage) return reportedImage === null ? null : named(reportedImage);
  const line = (/** @type {string} */ what, /** @type {string | null} */ image) =>
    make("div", {}, make("span", { class: "aside" }, `${what} `), image === null ? "none" : named(image));
  return make("div", {}, line("runs", reportedImage), line("should run", desiredImage));
}

/** @param {number | null} number */
const shown = (number) => (number === null ? null : `${number}`);
