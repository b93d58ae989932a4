// The devices that match the filters, failing ones first. The address holds the filters.

import { get } from "./api.js";
import { make, named, part, setText, table, tableRow, within } from "./dom.js";
import { List } from "./lists.js";
import { addressOf, devicesWhere, openDevice } from "./route.js";
import { STATES, stateBadge, stuckBadge, words } from "./states.js";
import { age } from "./times.js";

/**
 * @typedef {import("./api.js").DeviceSummary} DeviceSummary
 * @typedef {import("./route.js").Filters} Filters
 * @typedef {import("./lists.js").Page<DeviceSummary>} Page
 */

/** @type {[head: string, kind: string][]} */
const COLUMNS = [["Device", "who"], ["State", "of-state"], ["Reason", "reason"], ["For", "figure"]];
/** @type {Record<string, string>} */
const LABELS = { prefix: "id starts with", agentVersion: "agent" };

const ENOUGH = 50; // devices per page
const MOST = 10; // requests for a page: an answer can be empty and still have a next one

/** Make a link that opens a device in the dialog. @param {string} id */
export function deviceLink(id) {
  const open = (/** @type {Event} */ event) => {
    if (/** @type {MouseEvent} */ (event).ctrlKey || /** @type {MouseEvent} */ (event).metaKey) return; // a new tab
    event.preventDefault();
    openDevice(id);
  };
  return make("a", { class: "device", href: addressOf({ device: id }), onclick: open }, named(id));
}

/**
 * @param {Filters} given
 * @param {() => void} reload
 * @returns {import("./overview.js").View}
 */
export function devices(given, reload) {
  let filters = given;
  const controls = make("div", { class: "filters", role: "group", "aria-label": "Filters" });
  const about = make("p", { class: "about" });
  const rows = table("devices", COLUMNS);
  const node = part("Devices", controls, about, rows);
  const list = new List({
    section: node,
    rows,
    ask: (next) => ask(filters, next),
    keyOf: (item) => item.deviceId,
    makeRow: ({ deviceId }) => row(deviceId),
    empty: "No device matches.",
    reload,
  });

  function show() {
    const focused = controls.contains(document.activeElement) ? document.activeElement?.getAttribute("data-filter") : null;
    controls.replaceChildren(...controlsOf(filters));
    if (focused) (within(controls, `[data-filter="${focused}"]`) ?? within(node, "h2")).focus();
    setText(about, "");
  }
  /** @param {boolean} byItself */
  async function load(byItself) {
    await list.load(byItself);
    if (filters.cause && !about.textContent) setText(about, await sayCause(filters.cause));
  }
  show();
  return {
    node: make("div", { class: "view" }, node),
    sources: [{ node, load }],
    follow({ filters: others }) {
      filters = others;
      show();
      list.clear();
      reload();
    },
  };
}

/**
 * Return the queries to send one after the other, so that failing devices come first. The list drops duplicates.
 *
 * @param {Filters} filters
 * @returns {Filters[]}
 */
function inTurn(filters) {
  if (filters.cause || filters.stuck || filters.state) return [filters];
  // Stuck devices have their own index, also by deployment. With other filters the API would read every stuck device.
  const stuck = Object.keys(filters).every((name) => name === "deployment") ? [{ ...filters, stuck: "true" }] : [];
  const failing = ["module_failed", "invalid"].map((state) => ({ ...filters, state }));
  return [...stuck, ...failing, filters];
}

/**
 * @param {Filters} filters
 * @param {string | null} next where to continue: the index of the query, and the API's token
 * @returns {Promise<Page>}
 */
async function ask(filters, next) {
  const turns = inTurn(filters);
  /** @type {DeviceSummary[]} */
  const items = [];
  /** @type {[number, string | null]} */
  let [turn, token] = next === null ? [0, null] : JSON.parse(next);
  for (let asked = 0; asked < MOST && turn < turns.length && items.length < ENOUGH; asked++) {
    /** @type {Page} */
    const page = await get("devices", { ...turns[turn], next: token });
    items.push(...page.items);
    token = page.next;
    if (token === null) turn++;
  }
  return { items, next: turn < turns.length ? JSON.stringify([turn, token]) : null };
}

/** @param {string} id of a cause */
async function sayCause(id) {
  /** @type {{items: import("./api.js").Cause[]}} */
  const { items } = await get("causes", { limit: "200" });
  const found = items.find(({ causeId }) => causeId === id);
  return found ? `${found.cause}. ${found.advice ?? ""}` : "";
}

/** @param {Filters} filters */
function controlsOf(filters) {
  /** @param {string} name @param {string} value */
  function set(name, value) {
    const { [name]: _, ...others } = filters;
    location.hash = devicesWhere(value ? { ...others, [name]: value } : others);
  }
  const option = (/** @type {string} */ state) =>
    make("option", { value: state, selected: filters.state === state ? "" : null }, words(state) || "any state");
  const state = make("select", { "data-filter": "state", "aria-label": "State" }, ...["", ...STATES].map(option));
  state.addEventListener("change", () => set("state", state.value));
  const stuck = make("input", { type: "checkbox", "data-filter": "stuck", checked: filters.stuck ? "" : null });
  stuck.addEventListener("change", () => set("stuck", stuck.checked ? "true" : ""));
  const others = Object.entries(filters).filter(([name]) => name !== "state" && name !== "stuck");
  const chips = others.map(([name, value]) =>
    make(
      "button",
      { type: "button", class: "chip", "data-filter": name, title: "Remove this filter", onclick: () => set(name, "") },
      `${LABELS[name] ?? name} `,
      named(value),
      make("span", { "aria-hidden": "true" }, " \u00d7"),
    ),
  );
  return [state, make("label", {}, stuck, " stuck"), ...chips];
}

/** @param {string} id */
function row(id) {
  const node = make("tbody", { role: "rowgroup" });
  const update = (/** @type {DeviceSummary} */ { state, reason, message, since, stuck, stuckSince }) => {
    const states = make("span", {}, stateBadge(state), ...(stuck ? [" ", stuckBadge()] : []));
    const why = make("div", {}, words(reason), named(message, "small"));
    node.replaceChildren(tableRow(COLUMNS, [deviceLink(id), states, why, age(stuckSince ?? since, "for")]));
  };
  return { node, update };
}
