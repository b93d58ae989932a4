// The fleet at a glance: what needs a person, the progress of deployments, and what is not done yet.

import { causes } from "./causes.js";
import { deployments } from "./deployments.js";
import { make } from "./dom.js";
import { outstanding } from "./outstanding.js";

/**
 * @typedef {object} View the content between header and footer
 * @property {HTMLElement} node
 * @property {import("./updates.js").Source[]} sources loaded while the view is shown
 * @property {(place: import("./route.js").Place) => void} [follow] applies other filters
 */

/**
 * @param {() => void} reload
 * @returns {View}
 */
export function overview(reload) {
  const needs = causes("Needs a person", {}, reload), rollouts = deployments(), rest = outstanding(reload);
  const second = make("div", { class: "view" }, rollouts.node, rest.node);
  return { node: make("div", { class: "view overview" }, needs.node, second), sources: [needs, rollouts, rest] };
}
