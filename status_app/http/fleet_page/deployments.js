// Deployments and their progress. Incomplete ones come first, finished ones are folded.

import { get } from "./api.js";
import { link, make, named, part, setText, within } from "./dom.js";
import { bar } from "./pictures.js";
import { progress } from "./progress.js";
import { deploymentAddress, devicesWhere } from "./route.js";
import { showRows } from "./rows.js";
import { counted, figure, inOrder, lookOf, stateBadge, stuckBadge, words } from "./states.js";
import { age } from "./times.js";

/**
 * @typedef {import("./api.js").DeploymentSummary} Summary
 * @typedef {import("./updates.js").Source} Source
 */

const MOST = "200"; // deployments: IoT Hub has a hundred at most
const LINES = 6; // deployments whose progress the list shows

/** @type {Map<string, () => Promise<void>>} */
const progresses = new Map(); // of the cards with a line, by deployment

/** Whether a deployment is on no device any more, or was superseded. @param {Summary} item */
const isOver = ({ devices, milestones }) => devices === 0 || "superseded" in milestones;

const keyOf = (/** @type {Summary} */ item) => item.deploymentId;

/** A source: the list of deployments. @returns {Source} */
export function deployments() {
  const now = make("ul", { class: "deployments" }), past = make("ul", { class: "deployments past" });
  const many = make("summary"), fold = make("details", { hidden: "" }, many, past);
  const node = part("Deployments", now, fold);
  const heading = within(node, "h2");

  /** @param {boolean} byItself */
  async function load(byItself) {
    /** @type {{items: Summary[], next: string | null}} */
    const { items } = await get("deployments", { limit: MOST });
    const under = items.filter((item) => !isOver(item)).sort(byNeed), over = items.filter(isOver);
    setText(within(heading, ".number"), under.length ? figure(under.length) : "");
    const note = within(node, ".note");
    setText(note, "No deployment is applied on any device.");
    const onShown = (/** @type {number} */ shown) => { note.hidden = shown > 0; };
    showRows({ rows: now, heading, keyOf, makeRow: (item) => card(item.deploymentId), onShown }, under, byItself);
    showRows({ rows: past, heading, keyOf, makeRow: (item) => pastRow(item.deploymentId) }, over);
    fold.hidden = over.length === 0;
    setText(many, `${counted(over.length, "old deployment")}`);
    const shown = under.filter((item) => !("completed" in item.milestones)).slice(0, LINES).map(keyOf);
    await Promise.all(shown.map((id) => progresses.get(id)?.()));
  }
  return { node, load };
}

/** Order incomplete deployments first, most stuck devices first. @param {Summary} a @param {Summary} b */
function byNeed(a, b) {
  const done = Number("completed" in a.milestones) - Number("completed" in b.milestones);
  return done || b.stuck - a.stuck || b.devices - a.devices;
}

/** @param {string} id */
function card(id) {
  const share = make("p", { class: "share" }), picture = make("div"), counts = make("div");
  const aside = make("p", { class: "aside" });
  const course = progress(id);
  progresses.set(id, course.load);
  const title = make("h3", {}, link(deploymentAddress(id), named(nameOf(id))));
  const node = make("li", { class: "deployment" }, title, share, picture, counts, course.node, aside);

  /** @param {Summary} item */
  function update(item) {
    share.replaceChildren(...shareOf(item));
    picture.replaceChildren(barOf(item.states));
    counts.replaceChildren(countsOf(item.states, { deployment: id }, item.stuck));
    course.node.hidden = "completed" in item.milestones;
    aside.replaceChildren(make("span", {}, "counted ", age(item.countedAt, "ago")), make("span", {}, ...milestone(item)));
  }
  return { node, update };
}

/** The app lists devices that were configured one by one as a deployment of their own. @param {string} id */
export const nameOf = (id) => (id === "~individual" ? "Configured by hand, device by device" : id);

/** @param {Pick<Summary, "devices" | "successful">} counts */
export function shareOf({ devices, successful }) {
  const percent = devices ? ` (${Math.floor((100 * successful) / devices)} %)` : "";
  return [make("strong", {}, `${figure(successful)} of ${figure(devices)}`), ` successful${percent}`];
}

/** @param {Summary["states"]} states */
export const barOf = (states) => bar(inOrder(states).map(([state, count]) => ({ look: lookOf(state), count })));

/**
 * Make the table under a bar: the number of devices in each state, with links to them.
 *
 * @param {Summary["states"]} states
 * @param {import("./route.js").Filters} filters that select all of them
 * @param {number} stuck
 */
export function countsOf(states, filters, stuck) {
  /** @type {(name: Node, count: number, more: import("./route.js").Filters) => Node} */
  const row = (name, count, more) =>
    make(
      "tr",
      { role: "row" },
      make("th", { scope: "row", role: "rowheader" }, name),
      make("td", { role: "cell" }, link(devicesWhere({ ...filters, ...more }), figure(count))),
    );
  const rows = inOrder(states).map(([state, count]) => row(stateBadge(state), count, { state }));
  if (stuck) rows.push(row(stuckBadge(), stuck, { stuck: "true" }));
  const body = make("tbody", { role: "rowgroup" }, ...rows);
  return make("table", { class: "counts", role: "table", "aria-label": "Devices by state" }, body);
}

/** The last milestone after the start. @param {Summary} item */
function milestone({ milestones }) {
  const known = Object.entries(milestones).filter(([name]) => name !== "started");
  const [last] = known.sort(([, a], [, b]) => b.localeCompare(a));
  return last ? [`${words(last[0])} `, age(last[1], "ago")] : [];
}

/** @param {string} id */
function pastRow(id) {
  const about = make("span", { class: "aside" });
  const node = make("li", {}, link(deploymentAddress(id), named(nameOf(id))), " ", about);
  const update = (/** @type {Summary} */ item) => {
    about.replaceChildren(item.devices ? `on ${counted(item.devices, "device")}` : "on no device", ...ended(item));
  };
  return { node, update };
}

/** @param {Summary} item */
function ended({ milestones: { superseded } }) {
  return superseded ? [", superseded ", age(superseded, "ago")] : [];
}
