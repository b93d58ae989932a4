// The history of a device, newest first. The transitions of one read are one entry, which unfolds.

import { get, isUnknown, pathOf } from "./api.js";
import { make, named, part } from "./dom.js";
import { evidence } from "./facts.js";
import { List } from "./lists.js";
import { counted, stateBadge, stuckBadge, words } from "./states.js";
import { age, length, time } from "./times.js";

/**
 * @typedef {import("./api.js").Transition} Transition
 * @typedef {{key: string, transitions: Transition[]}} Entry the transitions of one read, newest first
 */

/**
 * A source: the transitions of a device.
 *
 * @param {string} deviceId
 * @param {() => void} reload
 * @returns {import("./updates.js").Source}
 */
export function history(deviceId, reload) {
  const rows = make("ol", { class: "history" });
  const node = part("History", rows);
  const list = new List({
    section: node,
    rows,
    ask: (next) => ask(deviceId, next),
    fold,
    keyOf: ({ key }) => key,
    makeRow: entry,
    empty: "No transition is stored.",
    number: () => "",
    cut: "There are older transitions.",
    reload,
  });
  return { node, load: (byItself) => list.load(byItself) };
}

/**
 * @param {string} deviceId
 * @param {string | null} next
 */
async function ask(deviceId, next) {
  try {
    return await get(`${pathOf("devices", deviceId)}/transitions`, { next });
  } catch (error) {
    if (!isUnknown(error)) throw error;
    return { items: [], next: null };
  }
}

/** @param {Transition[]} transitions */
function fold(transitions) {
  /** @type {Entry[]} */
  const entries = [];
  for (const transition of transitions) {
    const last = entries.at(-1);
    if (last?.transitions[0].observedAt === transition.observedAt) last.transitions.push(transition);
    else entries.push({ key: `${transition.sequence}`, transitions: [transition] });
  }
  return entries;
}

/** An entry changes only if a page ended in the middle of it. @param {Entry} entry */
function entry({ transitions: [first] }) {
  const node = make("li");
  const update = (/** @type {Entry} */ { transitions }) => {
    // The transition of the device itself comes first: it sums up the others.
    const [leading, ...others] = [...transitions].sort((a, b) => Number(a.module !== "") - Number(b.module !== ""));
    const more = make(
      "details",
      {},
      make("summary", {}, others.length ? `Evidence, and ${counted(others.length, "more transition")}` : "Evidence"),
      compared(leading),
      ...others.map((transition) => make("div", { class: "one" }, ...sentences(transition), compared(transition))),
    );
    node.replaceChildren(
      make("p", { class: "when" }, time(first.at), make("span", { class: "aside" }, age(first.at, "ago"))),
      ...sentences(leading),
      more,
    );
  };
  return { node, update };
}

/** @param {Transition} transition */
function sentences(transition) {
  const { module, reason, message } = transition;
  return [
    make("p", { class: "what" }, make("b", {}, module ? named(module) : "device"), " ", ...whatHappened(transition)),
    make("p", { class: "why" }, words(reason), ". ", named(message)),
  ];
}

/** @param {Transition} transition */
function whatHappened({ kind, fromState, toState, durationSeconds }) {
  const lasted = length(durationSeconds);
  if (kind === "stuck") return [stuckBadge(), ` after ${lasted} not as desired`];
  if (kind === "recovered") return ["recovered", ` after ${lasted} not as desired`];
  const left = fromState ? [stateBadge(fromState), ` for ${lasted}, then `] : [];
  return [...left, toState ? stateBadge(toState) : kind === "deleted" ? "deleted" : "removed"];
}

/** @param {Transition} transition */
function compared({ sequence, desiredVersion, deployments, evidence: found }) {
  const names = deployments.flatMap((name, place) => [place ? ", " : " of ", named(name)]);
  const about = make("p", { class: "aside" }, `Transition ${sequence}, version ${desiredVersion ?? "not known"}`, ...names);
  return make("div", {}, about, evidence(found));
}
