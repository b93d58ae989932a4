// States: their order, words and looks, here and nowhere else. Color is never the only sign: each state has a shape, a
// texture in bars, and its word.

import { make } from "./dom.js";
import { mark } from "./pictures.js";

/** @typedef {import("./pictures.js").Look} Look */

const RING = "M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1z";
const SHAPES = {
  disc: RING,
  half: `${RING}M8 3v10a5 5 0 0 0 0-10z`,
  circle: `${RING}M8 3.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9z`,
  triangle: "M8 1l7.5 14H.5z",
  cross: "M4 1.5l4 4 4-4L14.5 4l-4 4 4 4-2.5 2.5-4-4-4 4L1.5 12l4-4-4-4z",
  frame: "M8 .5L15.5 8 8 15.5.5 8zM8 4L4 8l4 4 4-4z",
  box: "M1.5 1.5h13v13h-13zM4.5 4.5v7h7v-7z",
  dash: "M1.5 6h13v4h-13z",
  diamond: "M8 .5L15.5 8 8 15.5.5 8z",
};

/** @type {Record<string, Look>} */
const LOOKS = {
  invalid: { light: "#8c1c59", dark: "#dc6ba6", shape: SHAPES.cross, tile: "M3 0v6" },
  module_failed: { light: "#c7362b", dark: "#ee665b", shape: SHAPES.triangle, tile: "M0 0l6 6M0 6l6-6" },
  agent_unavailable: { light: "#7d57b3", dark: "#b394e2", shape: SHAPES.frame, tile: "M0 0l6 6" },
  unclassified: { light: "#2c343e", dark: "#d3dae2", shape: SHAPES.diamond, tile: "M3 0v3M0 3h3" },
  empty: { light: "#94700f", dark: "#cfa747", shape: SHAPES.box, tile: "M0 3h6" },
  in_progress: { light: "#2477bd", dark: "#58a3e8", shape: SHAPES.half, tile: "M0 6l6-6" },
  pending: { light: "#76818f", dark: "#8c97a5", shape: SHAPES.circle, tile: "M2 3h2" },
  no_deployment: { light: "#6f7a87", dark: "#7d8895", shape: SHAPES.dash, tile: "" },
  successful: { light: "#1f8a4c", dark: "#3fb46f", shape: SHAPES.disc, tile: "" },
};

/**
 * States of modules, with the state of a device that looks the same.
 *
 * @type {Record<string, string>}
 */
const ALIKE = {
  wrong_status: "module_failed", missing: "in_progress", updating: "in_progress", settled: "successful",
  unknown: "agent_unavailable", extra: "unclassified",
};

/** The states of devices, failing ones first. */
export const STATES = Object.keys(LOOKS);

/** The look of a state; an unknown one looks unclassified. @param {string} state */
export const lookOf = (state) => LOOKS[ALIKE[state] ?? state] ?? LOOKS.unclassified;

/** The position of a state in a list with failing ones first. @param {string} state */
export const rank = (state) => {
  const place = STATES.indexOf(ALIKE[state] ?? state);
  return place < 0 ? STATES.indexOf("unclassified") : place;
};

/**
 * Sort `{state: count}` in the order of a bar: finished states first.
 *
 * @param {Record<string, number> | null | undefined} counts
 */
export const inOrder = (counts) =>
  Object.entries(counts ?? {}).filter(([, count]) => count > 0).sort(([a], [b]) => rank(b) - rank(a));

/** A word of the API as people read it. @param {string} word */
export const words = (word) => (word === "settled" ? "as desired" : spaced(word));

/** @param {string} word */
const spaced = (word) => word.replace(/_unverified$/u, " (unverified)").replaceAll("_", " ");

/** Format a number: `2,000`. @param {number} number */
export const figure = (number) => number.toLocaleString("en");

/**
 * @param {number} number
 * @param {string} one
 */
export const counted = (number, one) => `${figure(number)} ${one}${number === 1 ? "" : "s"}`;

/** @param {string} state */
export const stateBadge = (state) => make("span", { class: "state" }, mark(lookOf(state)), words(state));

export const stuckBadge = (text = "stuck") => make("span", { class: "stuck" }, text);
