// Causes: one card for each group of devices that fail the same way, with advice.

import { get } from "./api.js";
import { link, make, named, part } from "./dom.js";
import { deviceLink } from "./devices.js";
import { List } from "./lists.js";
import { devicesWhere } from "./route.js";
import { counted, figure, words } from "./states.js";
import { age } from "./times.js";

/** @typedef {import("./api.js").Cause} Cause */

const AT_ONCE = "20"; // causes

/**
 * A source: the causes with stuck devices, worst first.
 *
 * @param {string} title
 * @param {import("./route.js").Filters} filters deployment, cohort
 * @param {() => void} reload
 * @returns {import("./updates.js").Source}
 */
export function causes(title, filters, reload) {
  const rows = make("ul", { class: "causes" });
  const node = part(title, rows);
  const list = new List({
    section: node,
    rows,
    ask: (next) => ask(filters, next),
    keyOf: (item) => item.causeId,
    makeRow: ({ causeId }) => card({ ...filters, cause: causeId }),
    empty: "Nothing is stuck.",
    number: sum,
    reload,
  });
  return { node, load: (byItself) => list.load(byItself) };
}

/**
 * The API lists causes with stuck devices first. The rest are within their grace period, and are left out.
 *
 * @param {import("./route.js").Filters} filters
 * @param {string | null} next
 */
async function ask(filters, next) {
  /** @type {import("./lists.js").Page<Cause>} */
  const page = await get("causes", { ...filters, limit: AT_ONCE, next });
  const items = page.items.filter(({ stuck }) => stuck > 0);
  return { items, next: items.length < page.items.length ? null : page.next };
}

/**
 * @param {Cause[]} items
 * @param {boolean} isCut
 */
function sum(items, isCut) {
  if (!items.length) return "";
  const devices = items.reduce((total, { stuck }) => total + stuck, 0);
  return isCut
    ? `more than ${counted(devices, "device")}, more than ${counted(items.length, "cause")}`
    : `${counted(devices, "device")}, ${counted(items.length, "cause")}`;
}

/** @param {import("./route.js").Filters} filters that select its devices */
function card(filters) {
  const many = link(devicesWhere({ ...filters, stuck: "true" }));
  const title = make("h3"), about = make("p", { class: "aside" }), says = make("p"), advice = make("p");
  const examples = make("p", { class: "aside" });
  const body = make("div", { class: "why" }, title, about, says, advice, examples);
  const node = make("li", { class: "cause" }, make("p", { class: "many" }, many), body);

  /** @param {Cause} cause */
  function update(cause) {
    many.replaceChildren(make("b", {}, figure(cause.stuck)), ` device${cause.stuck === 1 ? "" : "s"} stuck`);
    const exit = cause.exitCode === null ? "" : `, exit code ${cause.exitCode}`;
    title.replaceChildren(...(cause.module ? [named(cause.module), ": "] : []), `${words(cause.reason)}${exit}`);
    about.replaceChildren(
      ...(cause.image ? [named(cause.image), " "] : []),
      ...(cause.since ? ["for ", age(cause.since, "for")] : []),
      ...(cause.newest && cause.newest.since > (cause.since ?? "") ? [", the latest ", age(cause.newest.since, "ago")] : []),
      ...(cause.devices > cause.stuck ? [`, and ${figure(cause.devices - cause.stuck)} more still within the grace period`] : []),
    );
    says.replaceChildren(...sayings(cause));
    advice.replaceChildren(...(cause.advice ? [make("b", {}, "What to do: "), cause.advice] : []));
    examples.replaceChildren(
      "For example ",
      ...cause.examples.flatMap(({ deviceId }, place) => [place ? ", " : "", deviceLink(deviceId)]),
    );
  }
  return { node, update };
}

/** @param {Cause} cause */
function sayings({ peers, means, message }) {
  const said = peers?.says ?? means;
  if (said) return [peers?.says && peers.shared ? `${said} ${peers.shared}` : said];
  return message ? [named(message)] : [];
}
