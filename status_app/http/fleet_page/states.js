// The words of the app: states of devices and modules, reasons. Colour and pattern of a state are in the style sheet.

import { make } from "./dom.js";

/** The states of a device, in the order in which they stand in a bar. */
const ORDER = [
  "successful", "in_progress", "pending", "agent_unavailable", "module_failed", "invalid", "empty", "no_deployment",
  "unclassified",
];

const place = (/** @type {string} */ state) => (ORDER.includes(state) ? ORDER.indexOf(state) : ORDER.length);

/**
 * `{state: count}` as pairs in the order of a bar, without those of no device.
 *
 * @param {Record<string, number> | null} counts
 */
export function inOrder(counts) {
  return Object.entries(counts ?? {}).filter(([, count]) => count > 0).sort(([a], [b]) => place(a) - place(b));
}

/** A word of the API as a person reads it. @param {string} word */
export const words = (word) => word.replace(/_unverified$/u, " (unverified)").replaceAll("_", " ");

/** The mark of a state: its colour in its pattern. Never without the word beside it. @param {string} state */
export function mark(state) {
  const node = make("span", { class: "mark", "aria-hidden": "true" });
  node.dataset.state = state;
  return node;
}

/** @param {string} state */
export const stateBadge = (state) => make("span", { class: "state" }, mark(state), words(state));

export const stuckBadge = (text = "stuck") => make("span", { class: "stuck" }, text);
