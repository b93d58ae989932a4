// The deployments: how far each has come, and, opened, IoT Hub's counters beside ours, the reasons and the devices.

import { get, isUnknown, pathOf } from "./api.js";
import { deviceButton } from "./device_button.js";
import { disclosure } from "./disclosure.js";
import { headOf, make, named, setText, showRows, within } from "./dom.js";
import { facts } from "./facts.js";
import { List } from "./lists.js";
import { inOrder, mark, stateBadge, stuckBadge, words } from "./states.js";
import { age, time } from "./times.js";

/**
 * @typedef {import("./api.js").Deployment} Deployment
 * @typedef {import("./api.js").DeploymentSummary} DeploymentSummary
 * @typedef {import("./api.js").DeviceSummary} DeviceSummary
 * @typedef {import("./main.js").App} App
 * @typedef {[state: string, count: number]} StateCount
 */

/**
 * The list of the deployments.
 *
 * @param {Element} section
 * @param {App} app
 * @returns {List<DeploymentSummary>}
 */
export function deployments(section, app) {
  return new List({
    section,
    rows: within(section, ".deployments"),
    path: "deployments",
    keyOf: (item) => item.deploymentId,
    makeRow: (item) => deployment(item.deploymentId, app),
    order: (a, b) => Number(a.devices === 0) - Number(b.devices === 0), // what is in force comes first
    empty: "No deployment is credited on any device.",
    reload: () => app.updates.now(),
  });
}

/**
 * @param {string} id
 * @param {App} app
 */
function deployment(id, app) {
  const button = make("button", { type: "button", class: "opener" }, named(id));
  const about = make("p", { class: "share" });
  const bar = make("div", { class: "bar", role: "img" });
  const legend = make("ul", { class: "legend" });
  const detail = make("div", { class: "detail" });
  const opened = opening(id, detail, app);
  const { close } = disclosure(button, detail, { opened: opened.open, closed: opened.close });
  const node = make("li", { class: "deployment" }, make("h3", {}, button), about, bar, legend, detail);

  /** @param {DeploymentSummary} item */
  function update({ version, devices, successful, stuck, states, countedAt }) {
    const again = version !== null && version > 1 ? `in force for the ${ordinal(version)} time, ` : "";
    const percent = ` (${Math.floor((100 * successful) / devices)} %)`;
    about.replaceChildren(
      ...(devices ? [make("strong", {}, `${successful} of ${devices}`), ` successful${percent} `] : ["on no device "]),
      ...(stuck ? [stuckBadge(`${stuck} stuck`), " "] : []),
      make("span", { class: "aside" }, `${again}counted `, countedAt ? age(countedAt, "ago") : "never"),
    );
    const counts = inOrder(states);
    bar.setAttribute("aria-label", counts.map(([state, count]) => `${count} ${words(state)}`).join(", "));
    bar.replaceChildren(...counts.map(segment));
    bar.hidden = devices === 0;
    legend.replaceChildren(
      ...counts.map(([state, count]) => make("li", {}, mark(state), `${words(state)} `, make("b", {}, `${count}`))),
    );
  }
  return { node, update, gone: close };
}

/** @param {StateCount} state */
function segment([state, count]) {
  const node = mark(state);
  node.style.flexGrow = `${count}`;
  return node;
}

/** @type {Partial<Record<Intl.LDMLPluralRule, string>>} */
const ENDING = { one: "st", two: "nd", few: "rd", other: "th" };

/** @param {number} number */
function ordinal(number) {
  return `${number}${ENDING[new Intl.PluralRules("en", { type: "ordinal" }).select(number)]}`;
}

/**
 * What an opened deployment shows: filled while it is open.
 *
 * @param {string} id
 * @param {Element} detail
 * @param {App} app
 */
function opening(id, detail, app) {
  const note = make("p", { class: "note" }, "Loading");
  const summary = make("div", { class: "summary" });
  const devices = make(
    "section",
    {},
    make("h4", { tabindex: "-1" }, "Devices ", make("span", { class: "number" })),
    make("div", { class: "filters", role: "group", "aria-label": "Devices in the state" }),
    make("p", { class: "note" }, "Loading"),
    make("table", { class: "devices" }, headOf(["Device", "State", "Reason", "For"])),
    make("p", { class: "more" }),
  );
  /** @type {string | null} */
  let chosen = null; // a state, or null for any
  let round = 0;
  /** @type {List<DeviceSummary>} */
  const list = new List({
    section: devices,
    rows: within(devices, "table"),
    path: "devices",
    parameters: () => ({ deployment: id, state: chosen }),
    keyOf: (item) => item.deviceId,
    makeRow: (item) => deviceRow(item.deviceId, app),
    empty: "No device.",
    reload: () => app.updates.now(),
  });
  const loadDevices = () => list.load();
  const filters = within(devices, ".filters");
  detail.append(note, summary, devices);

  /** @param {string | null} state */
  function choose(state) {
    chosen = state;
    list.clear();
    app.updates.add(loadDevices);
    for (const button of filters.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.dataset.state === (state ?? "")));
    }
  }

  async function load() {
    const mine = ++round;
    /** @type {Deployment | null} */
    let counted = null;
    try {
      counted = await get(pathOf("deployments", id));
    } catch (error) {
      if (!isUnknown(error)) throw error;
    }
    if (mine !== round) return;
    setText(note, counted ? "" : "It is credited on no device any more.");
    note.hidden = counted !== null;
    summary.hidden = counted === null;
    devices.hidden = !counted?.devices;
    if (counted === null) return;
    const parts = counted.devices ? [counters(counted), reasons(counted)] : [];
    summary.replaceChildren(...parts, milestones(counted, app));
    const states = [{ state: "", count: counted.devices }];
    for (const [state, count] of inOrder(counted.states)) states.push({ state, count });
    const makeFilter = (/** @type {{state: string}} */ { state }) => filter(state, chosen, choose);
    showRows(filters, states, ({ state }) => state, makeFilter, within(devices, "h4"));
  }

  return {
    open() {
      app.updates.add(load, loadDevices);
    },
    close() {
      app.updates.remove(load, loadDevices);
    },
  };
}

/** IoT Hub's own counters beside ours. @param {Deployment} deployment */
function counters({ devices, successful, failing, stuck, portal, countedAt }) {
  /** @type {[name: string, ours: number, hubs: number | string][]} */
  const rows = [
    ["applied", devices, portal.applied],
    ["successful", successful, portal.successful],
    ["failing", failing, portal.failed],
    ["stuck", stuck, "not counted"],
  ];
  return make(
    "table",
    { class: "counters" },
    make("caption", {}, "Counted ", age(countedAt, "ago")),
    headOf(["Devices", "Here", "IoT Hub"], ["Here", "IoT Hub"]),
    make("tbody", {}, ...rows.map(counterRow)),
  );
}

/** @param {[name: string, ours: number, hubs: number | string]} counter */
function counterRow([name, ours, hubs]) {
  const figures = [ours, hubs].map((figure) => make("td", { class: "figure" }, `${figure}`));
  return make("tr", {}, make("th", { scope: "row" }, name), ...figures);
}

/** @param {Deployment} deployment */
function reasons({ reasons: found }) {
  const rows = found.map(({ state, reason, devices }) =>
    make(
      "tr",
      {},
      make("td", {}, stateBadge(state)),
      make("td", {}, words(reason)),
      make("td", { class: "figure" }, `${devices}`),
    ),
  );
  return make(
    "table",
    { class: "reasons" },
    make("caption", {}, "Reasons"),
    headOf(["State", "Reason", "Devices"], ["Devices"]),
    make("tbody", {}, ...rows),
  );
}

/**
 * @param {Deployment} deployment
 * @param {App} app
 */
function milestones({ milestones: reached, longestStuck }, app) {
  const since =
    longestStuck &&
    make("span", {}, deviceButton(longestStuck.deviceId, app), " for ", age(longestStuck.since, "for"));
  /** @type {Parameters<typeof facts>[0]} */
  const entries = Object.entries(reached).map(([name, at]) => [words(name), time(at)]);
  return facts([["stuck longest", since], ...entries]);
}

/**
 * @param {string} state empty: any
 * @param {string | null} chosen
 * @param {(state: string | null) => void} choose
 */
function filter(state, chosen, choose) {
  const count = make("b");
  const button = make(
    "button",
    { type: "button", "aria-pressed": String(state === `${chosen ?? ""}`), onclick: () => choose(state || null) },
    ...(state ? [mark(state), `${words(state)} `] : ["all "]),
    count,
  );
  button.dataset.state = state;
  return { node: button, update: (/** @type {{count: number}} */ item) => setText(count, `${item.count}`) };
}

/**
 * @param {string} id
 * @param {App} app
 */
function deviceRow(id, app) {
  const cells = [make("td"), make("td"), make("td")];
  const node = make("tbody", {}, make("tr", {}, make("td", {}, deviceButton(id, app)), ...cells));
  const update = (/** @type {DeviceSummary} */ { state, reason, since, stuck }) => {
    cells[0].replaceChildren(stateBadge(state), ...(stuck ? [" ", stuckBadge()] : []));
    cells[1].replaceChildren(words(reason));
    cells[2].replaceChildren(age(since, "for"));
  };
  return { node, update };
}

