// The fleet at a glance: what needs a person, how deployments come on, and what is not done yet.

import { causes } from "./causes.js";
import { deployments } from "./deployments.js";
import { make } from "./dom.js";
import { outstanding } from "./outstanding.js";

/**
 * @typedef {object} View what is shown between top and foot
 * @property {HTMLElement} node
 * @property {import("./updates.js").Source[]} sources asked while it is shown
 * @property {(place: import("./route.js").Place) => void} [follow] takes other filters
 */

/**
 * @param {() => void} reload
 * @returns {View}
 */
export function overview(reload) {
  const needs = causes("Needs a person", {}, reload), rollouts = deployments(), rest = outstanding(reload);
  const beside = make("div", { class: "view" }, rollouts.node, rest.node);
  return { node: make("div", { class: "view overview" }, needs.node, beside), sources: [needs, rollouts, rest] };
}
