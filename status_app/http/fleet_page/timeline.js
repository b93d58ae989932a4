// The history of a device: its transitions, newest first.

import { pathOf } from "./api.js";
import { make, named, within } from "./dom.js";
import { evidence } from "./facts.js";
import { List } from "./lists.js";
import { mark, stateBadge, stuckBadge, words } from "./states.js";
import { age, length, time } from "./times.js";

/** @typedef {import("./api.js").Transition} Transition */

/**
 * The transitions of a device.
 *
 * @param {Element} section
 * @param {string} deviceId
 * @param {import("./main.js").App} app
 * @returns {List<Transition>}
 */
export function timeline(section, deviceId, app) {
  return new List({
    section,
    rows: within(section, ".timeline"),
    path: `${pathOf("devices", deviceId)}/transitions`,
    keyOf: (item) => `${item.sequence}`,
    makeRow: transition,
    empty: "No transition is kept.",
    mayBeUnknown: true,
    reload: () => app.updates.now(),
  });
}

/** A transition never changes. @param {Transition} item */
function transition(item) {
  const node = make(
    "li",
    {},
    mark(item.toState),
    make("p", { class: "when" }, time(item.at), make("span", { class: "aside" }, age(item.at, "ago"))),
    make("p", { class: "what" }, named(item.module || "device"), " ", ...whatHappened(item)),
    make("p", { class: "why" }, make("b", {}, words(item.reason)), " ", named(item.message)),
    make(
      "details",
      {},
      make("summary", {}, `Evidence of transition ${item.sequence}`),
      context(item),
      evidence(item.evidence),
    ),
  );
  return { node, update() {} };
}

/** @param {Transition} transition */
function whatHappened({ kind, fromState, toState, durationSeconds }) {
  const lasted = length(durationSeconds);
  if (kind === "stuck") return [stuckBadge(), ` after ${lasted} unsettled`];
  if (kind === "recovered") return ["recovered", ` after ${lasted} unsettled`];
  const left = fromState ? [stateBadge(fromState), ` for ${lasted}, then `] : [];
  return [...left, toState ? stateBadge(toState) : kind === "deleted" ? "deleted" : "removed"];
}

/** @param {Transition} transition */
function context({ desiredVersion, deployments }) {
  const names = deployments.flatMap((name, index) => [index ? ", " : " of ", named(name)]);
  return make("p", { class: "aside" }, `Version ${desiredVersion ?? "not known"}`, ...names);
}
