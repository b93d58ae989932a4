// One deployment: its progress, IoT Hub's counters next to ours, its causes, reasons and milestones.

import { get, isUnknown, pathOf } from "./api.js";
import { causes } from "./causes.js";
import { barOf, countsOf, nameOf, shareOf } from "./deployments.js";
import { link, make, part, setText, table, tableRow, within } from "./dom.js";
import { facts } from "./facts.js";
import { deviceLink } from "./devices.js";
import { progress } from "./progress.js";
import { devicesWhere } from "./route.js";
import { figure, stateBadge, words } from "./states.js";
import { age, time } from "./times.js";

/** @typedef {import("./api.js").Deployment} Deployment */

/** @type {[head: string, kind: string][]} */
const COUNTERS = [["Devices", ""], ["Here", "figure"], ["IoT Hub", "figure"]];
/** @type {[head: string, kind: string][]} */
const REASONS = [["State", ""], ["Reason", ""], ["Devices", "figure"]];

/**
 * @param {string} id
 * @param {() => void} reload
 * @returns {import("./overview.js").View}
 */
export function deployment(id, reload) {
  const counts = make("div"), more = make("div"), course = progress(id);
  const node = part(nameOf(id), counts, course.node, more);
  const why = causes("Causes", { deployment: id }, reload);

  async function load() {
    const found = await one(id);
    if (found !== null) await course.load();
    const note = within(node, ".note");
    setText(note, "No deployment of this name is known.");
    note.hidden = found !== null;
    counts.replaceChildren(...(found ? countsOfAll(found) : []));
    more.replaceChildren(...(found ? moreOf(found) : []));
  }
  return { node: make("div", { class: "view" }, node, why.node), sources: [{ node, load }, why] };
}

/**
 * Fetch a deployment; null if the app does not know the id.
 *
 * @param {string} id
 * @returns {Promise<Deployment | null>}
 */
async function one(id) {
  try {
    return await get(pathOf("deployments", id));
  } catch (error) {
    if (!isUnknown(error)) throw error;
    return null;
  }
}

/** @param {Deployment} found */
function countsOfAll(found) {
  const { deploymentId, states, stuck, devices } = found;
  const all = link(devicesWhere({ deployment: deploymentId }), "all devices");
  const share = make("p", { class: "share" }, ...shareOf(found), ", ", all);
  return devices ? [share, barOf(states), countsOf(states, { deployment: deploymentId }, stuck)] : [share];
}

/** @param {Deployment} found */
function moreOf(found) {
  const tables = [counters(found), ...(found.reasons.length ? [reasons(found)] : [])];
  return [factsOf(found), make("div", { class: "beside" }, ...tables)];
}

/** @param {Deployment} found */
function factsOf({ milestones, longestStuck, hub, version, createdAt, failureThreshold, listedAt }) {
  const longest = longestStuck && make("span", {}, deviceLink(longestStuck.deviceId), " for ", age(longestStuck.since, "for"));
  /** @type {Parameters<typeof facts>[0]} */
  const reached = Object.entries(milestones).map(([name, at]) => [words(name), time(at)]);
  return facts([
    ["stuck longest", longest],
    ["created", createdAt && time(createdAt)],
    ...reached,
    ["times applied", version !== null && version > 1 ? version : null],
    ["allowed to fail", failureThreshold],
    ["priority", hub?.priority ?? null],
    ["target condition", hub?.targetCondition ?? null],
    ["modules", hub?.modules?.join(", ") ?? null],
    ["labels", Object.entries(hub?.labels ?? {}).map(([name, value]) => `${name}: ${value}`).join(", ")],
    ["last listed by IoT Hub", listedAt && (hub ? age(listedAt, "ago") : "no longer listed")],
  ]);
}

/** Show IoT Hub's own counters next to ours. @param {Deployment} found */
function counters({ devices, successful, settling, failing, stuck, portal, hub }) {
  /** @type {[name: string, ours: number | null, hubs: number | null][]} */
  const rows = [
    ["targeted", null, hub?.targeted ?? null],
    ["applied", devices, hub?.applied ?? portal.applied],
    ["successful", successful, hub?.reportedSuccessful ?? portal.successful],
    ["settling", settling, null],
    ["failing", failing, hub?.reportedFailed ?? portal.failed],
    ["stuck", stuck, null],
  ];
  const shown = (/** @type {number | null} */ count) => (count === null ? "not counted" : figure(count));
  const node = table("counters", COUNTERS);
  node.append(make("tbody", { role: "rowgroup" }, ...rows.map(([name, ours, hubs]) => tableRow(COUNTERS, [name, shown(ours), shown(hubs)]))));
  return node;
}

/** @param {Deployment} found */
function reasons({ deploymentId, reasons: all }) {
  const node = table("reasons", REASONS);
  const rows = all.map(({ state, reason, devices }) => {
    const address = devicesWhere({ deployment: deploymentId, state, reason: reason.replace(/_unverified$/u, "") });
    return tableRow(REASONS, [stateBadge(state), words(reason), link(address, figure(devices))]);
  });
  node.append(make("tbody", { role: "rowgroup" }, ...rows));
  return node;
}
