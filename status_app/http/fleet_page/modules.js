// Modules that are stuck, and those that will be: a row each, which opens to the evidence.

import { get, isUnknown, pathOf } from "./api.js";
import { deviceButton } from "./device_button.js";
import { disclosure } from "./disclosure.js";
import { headOf, make, named, within } from "./dom.js";
import { evidence, facts } from "./facts.js";
import { List } from "./lists.js";
import { stateBadge, words } from "./states.js";
import { age, serverNow, time } from "./times.js";

const MINUTE = 60_000, HOUR = 60 * MINUTE; // milliseconds

/**
 * @typedef {import("./api.js").Module} Module
 * @typedef {import("./main.js").App} App
 */

/**
 * What is stuck, longest first.
 *
 * @param {Element} section
 * @param {App} app
 */
export function stuckModules(section, app) {
  return modules(section, app, {
    parameters: () => ({ stuck: "true" }),
    figure: "Stuck for",
    when: ({ stuckSince }) => (stuckSince ? age(stuckSince, "for") : ""),
    empty: "Nothing is stuck.",
  });
}

/**
 * What gets stuck within the hour, soonest first.
 *
 * @param {Element} section
 * @param {App} app
 */
export function nextStuck(section, app) {
  const parameters = () => {
    const full = Math.ceil((serverNow() + HOUR) / MINUTE) * MINUTE; // one address for a minute, with one ETag
    return { stuckBefore: new Date(full).toISOString() };
  };
  return modules(section, app, {
    parameters,
    figure: "Stuck in",
    when: ({ stuckAt }) => (stuckAt ? age(stuckAt, "in") : ""),
    empty: "Nothing gets stuck within the hour.",
  });
}

/**
 * The list of a section: `figure` is the head of its last column, and `when` fills it.
 *
 * @param {Element} section
 * @param {App} app
 * @param {object} list
 * @param {() => import("./api.js").Parameters} list.parameters
 * @param {string} list.figure
 * @param {(item: Module) => Node | string} list.when
 * @param {string} list.empty
 * @returns {List<Module>}
 */
function modules(section, app, { parameters, figure, when, empty }) {
  const rows = within(section, "table");
  rows.append(headOf(["Device and module", "State", "Reason", figure], [figure]));
  return new List({
    section,
    rows,
    path: "modules",
    parameters,
    keyOf: (item) => JSON.stringify([item.deviceId, item.module]),
    makeRow: (item) => moduleRow(item, when, app),
    empty,
    reload: () => app.updates.now(),
  });
}

/**
 * @param {Module} item
 * @param {(item: Module) => Node | string} when
 * @param {App} app
 */
function moduleRow({ deviceId, module }, when, app) {
  const button = make("button", { type: "button", class: "opener" }, named(module));
  // On a phone these are no boxes of a table any more: the roles say that they still are a row with its cells.
  const cell = (/** @type {string} */ kind) => make("td", { class: kind, role: "cell" });
  const cells = { who: cell("who"), state: cell("of-state"), reason: cell("reason"), when: cell("figure") };
  const row = make("tr", { role: "row" }, ...Object.values(cells));
  cells.who.append(deviceButton(deviceId, app), " ", button);
  const known = make("div"), compared = make("div");
  const opened = make("td", { colspan: "4", role: "cell" }, known, compared);
  const detail = make("tr", { class: "detail", role: "row" }, opened);
  const source = evidenceOf(deviceId, module, compared);
  const { toggle, close } = disclosure(button, detail, {
    opened: () => app.updates.add(source),
    closed: () => app.updates.remove(source),
  });
  row.addEventListener("click", (event) => isInButton(event.target) || toggle());

  /** @param {Module} item */
  function update(item) {
    cells.state.replaceChildren(stateBadge(item.state));
    cells.reason.replaceChildren(make("span", {}, words(item.reason)), named(item.message, "small"));
    cells.when.replaceChildren(when(item));
    known.replaceChildren(make("p", { class: "message" }, named(item.message)), facts(factsOf(item)));
  }
  return { node: make("tbody", {}, row, detail), update, gone: close };
}

/** @param {EventTarget | null} target */
const isInButton = (target) => target instanceof Element && target.closest("button") !== null;

/**
 * @param {Module} item
 * @returns {Parameters<typeof facts>[0]}
 */
function factsOf(item) {
  return [
    ["state", stateBadge(item.state)],
    ["unsettled since", item.unsettledSince && time(item.unsettledSince)],
    ["in this state since", item.since && time(item.since)],
    item.stuck
      ? ["stuck since", item.stuckSince && time(item.stuckSince)]
      : ["stuck at", item.stuckAt && time(item.stuckAt)],
    ["desired status", item.desiredStatus],
    ["reported status", item.runtimeStatus],
    ["exit code", item.exitCode],
    ["desired image", item.desiredImage],
    ["reported image", item.reportedImage],
    ["grace period", item.gracePeriod],
  ];
}

/**
 * A source: the evidence of the newest transition of a module, from the answer about its device.
 *
 * @param {string} deviceId
 * @param {string} module
 * @param {Element} into
 */
function evidenceOf(deviceId, module, into) {
  into.replaceChildren(make("p", { class: "note" }, "Loading"));
  return async () => {
    try {
      /** @type {import("./api.js").Device} */
      const device = await get(pathOf("devices", deviceId));
      into.replaceChildren(evidence(device.evidence[module] ?? []));
    } catch (error) {
      if (!isUnknown(error)) throw error;
      into.replaceChildren(make("p", { class: "note" }, "The device is not known any more."));
    }
  };
}
