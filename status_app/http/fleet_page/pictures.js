// Pictures: marks of states, bars and lines of progress, in SVG. A table next to each bar or line has its numbers.

import { newId } from "./dom.js";

/**
 * @typedef {{light: string, dark: string, shape: string, tile: string}} Look of a state: its colors, its shape in 16
 *   by 16, and its texture in 6 by 6; or empty
 * @typedef {{look: Look, count: number}} Part of a bar
 * @typedef {{at: number, value: number}} Dot of a line: a time in milliseconds, and its value from then on
 * @typedef {{kind: string, dots: Dot[]}} Line
 */

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 0.6; // percent of a bar: one device of two thousand stays visible

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 */
function draw(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, `${value}`);
  node.append(...children);
  return node;
}

/** @param {SVGElement} node @param {Look} look */
function paint(node, { light, dark }) {
  node.style.setProperty("--color", `light-dark(${light}, ${dark})`);
  return node;
}

/** Make the shape of a state in its color. Its word is next to it. @param {Look} look */
export const mark = (look) =>
  paint(
    draw(
      "svg",
      { class: "mark", viewBox: "0 0 16 16", "aria-hidden": "true" },
      draw("path", { d: look.shape, "fill-rule": "evenodd" }),
    ),
    look,
  );

/** Make a bar: its parts side by side, each wide enough to be seen. @param {Part[]} parts */
export function bar(parts) {
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  const wide = parts.map(({ count }) => Math.max(LEAST, (100 * count) / total));
  const scale = 100 / wide.reduce((sum, width) => sum + width, 0);
  const picture = draw("svg", { class: "bar", "aria-hidden": "true" });
  let left = 0;
  for (const [place, { look }] of parts.entries()) {
    const box = { x: `${left}%`, width: `${wide[place] * scale}%`, height: "100%" };
    picture.append(paint(draw("rect", { ...box, class: "part" }), look));
    if (look.tile) {
      const id = newId();
      picture.append(tile(id, look.tile), draw("rect", { ...box, fill: `url(#${id})` }));
    }
    left += wide[place] * scale;
  }
  return picture;
}

/**
 * @param {string} id
 * @param {string} path
 */
const tile = (id, path) =>
  draw(
    "pattern",
    { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" },
    draw("path", { d: path, class: "texture" }),
  );

const WIDE = 600, HIGH = 100; // of a line chart, which is stretched to its box

/**
 * Draw values over time as steps: each value holds until the next.
 *
 * @param {Line[]} all
 * @param {{from: number, to: number, most: number}} bounds of the chart: times, and the highest value
 */
export function lines(all, { from, to, most }) {
  const along = (/** @type {number} */ at) => Math.round((WIDE * (at - from)) / Math.max(1, to - from));
  const up = (/** @type {number} */ value) => HIGH - (HIGH * value) / Math.max(1, most);
  const picture = draw("svg", {
    class: "lines", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", "aria-hidden": "true",
  });
  for (const { kind, dots } of all) {
    if (!dots.length) continue;
    const steps = dots.map(({ at, value }) => `H${along(at)}V${up(value).toFixed(1)}`).join("");
    const first = `M${along(dots[0].at)} ${up(dots[0].value).toFixed(1)}`;
    picture.append(
      draw("path", { class: `area ${kind}`, d: `${first}${steps}H${WIDE}V${HIGH}H${along(dots[0].at)}z` }),
      draw("path", { class: `line ${kind}`, d: `${first}${steps}H${WIDE}` }),
    );
  }
  return picture;
}
