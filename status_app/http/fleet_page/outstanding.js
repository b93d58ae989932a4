// Modules that are not as desired, but within their grace period: no action is needed. Those stuck soonest come first.

import { get } from "./api.js";
import { make, named, part } from "./dom.js";
import { deviceLink } from "./devices.js";
import { List } from "./lists.js";
import { counted, stateBadge, words } from "./states.js";
import { age, serverNow } from "./times.js";

const HOUR = 3_600_000; // milliseconds
const DAY = 24 * HOUR;

/**
 * @typedef {import("./api.js").Module} Module
 * @typedef {{key: string, first: Module, modules: Module[]}} Group of similar modules, soonest first
 */

/**
 * A source: modules that are not as desired and not stuck yet, similar ones as one line.
 *
 * @param {() => void} reload
 * @returns {import("./updates.js").Source}
 */
export function outstanding(reload) {
  const rows = make("ul", { class: "outstanding" });
  const node = part("Not done yet", rows);
  const list = new List({
    section: node,
    rows,
    ask,
    fold,
    keyOf: ({ key }) => key,
    makeRow: groupRow,
    empty: "Nothing is under way.",
    number: (groups, isCut) => {
      const devices = new Set(groups.flatMap(({ modules }) => modules.map(({ deviceId }) => deviceId))).size;
      return devices ? `${counted(devices, "device")}${isCut ? " and more" : ""}, within the normal time` : "";
    },
    cut: "Only those stuck soonest are shown: there are more.",
    reload,
  });
  return { node, load: (byItself) => list.load(byItself) };
}

/** @param {string | null} next */
function ask(next) {
  const day = Math.ceil((serverNow() + DAY) / HOUR) * HOUR; // the same address for an hour, so that its ETag helps
  return get("modules", { stuckBefore: new Date(day).toISOString(), next });
}

/** @param {Module[]} modules */
function fold(modules) {
  /** @type {Map<string, Group>} */
  const groups = new Map();
  for (const module of modules) {
    const key = JSON.stringify([module.module, module.state, module.reason]);
    const group = groups.get(key) ?? { key, first: module, modules: [] };
    group.modules.push(module);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** @param {Group} group */
function groupRow({ first }) {
  const title = make("span", { class: "alike" }), when = make("span", { class: "aside" });
  const many = make("summary"), devices = make("p", { class: "devices" });
  const node = make("li", {}, title, when, make("details", {}, many, devices));
  title.append(stateBadge(first.state), " ");
  if (first.module !== "$edgeAgent") title.append(named(first.module), ": ");
  title.append(words(first.reason));

  /** @param {Group} group */
  function update({ modules }) {
    const [{ stuckAt }] = modules;
    when.replaceChildren(...(stuckAt ? ["stuck in ", age(stuckAt, "in"), " unless it settles"] : []));
    many.replaceChildren(counted(modules.length, "device"));
    devices.replaceChildren(...modules.flatMap(({ deviceId }, place) => [place ? ", " : "", deviceLink(deviceId)]));
  }
  return { node, update };
}
