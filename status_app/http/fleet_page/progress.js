// The progress of a deployment over time: a line chart, the speed and the time left, and a table of the points.

import { get, pathOf } from "./api.js";
import { make, setText, table, tableRow } from "./dom.js";
import { lines } from "./pictures.js";
import { counted, figure } from "./states.js";
import { age, length, serverNow, time } from "./times.js";

/** @typedef {import("./api.js").Schemas["Progress"]} Progress */

const ROWS = 12; // of the table: all points would be too many
/** @type {[head: string, kind: string][]} */
const COLUMNS = [["At", ""], ["Applied", "figure"], ["Successful", "figure"], ["Settling", "figure"], ["Failing", "figure"]];

/**
 * Make the chart of a deployment's progress; `load` fetches and shows it.
 *
 * @param {string} id
 */
export function progress(id) {
  const picture = make("div", { class: "picture" });
  const ends = make("p", { class: "ends" });
  const speed = make("p", { class: "speed" }), why = make("p", { class: "aside" });
  const rows = make("tbody", { role: "rowgroup" });
  const behind = table("points", COLUMNS);
  behind.append(rows);
  const points = make("details", {}, make("summary", {}, "Progress as a table"), behind);
  const node = make("div", { class: "progress" }, speed, picture, ends, key(), why, points);

  return {
    node,
    async load() {
      /** @type {Progress} */
      const { points: all, perHour, secondsLeft, estimate } = await get(`${pathOf("deployments", id)}/progress`);
      picture.replaceChildren(...(all.length ? [drawn(all)] : []));
      const most = Math.max(0, ...all.map(({ targeted, credited }) => Math.max(targeted ?? 0, credited)));
      ends.replaceChildren(...(all.length ? [age(all[0].at, "ago"), make("span", {}, `of ${counted(most, "device")}`), make("span", {}, "now")] : []));
      setText(speed, speedOf(perHour, secondsLeft));
      setText(why, estimate);
      rows.replaceChildren(...some(all).map((point) => {
        const cells = [point.credited, point.successful, point.settling, point.failing].map(figure);
        return tableRow(COLUMNS, [time(point.at), ...cells]);
      }));
      points.hidden = all.length === 0;
    },
  };
}

/** The legend. */
const key = () =>
  make(
    "p",
    { class: "key", "aria-hidden": "true" },
    ...["successful", "failing", "applied"].map((kind) => make("span", {}, lines([level(kind)], UNIT), kind)),
  );
const UNIT = { from: 0, to: 1, most: 2 };
const level = (/** @type {string} */ kind) => ({ kind, dots: [{ at: 0, value: 1 }] });

/**
 * @param {number | null} perHour
 * @param {number | null} secondsLeft
 */
function speedOf(perHour, secondsLeft) {
  if (perHour === null) return "No device became successful recently.";
  const left = secondsLeft === null ? "" : `, about ${length(secondsLeft)} left`;
  return `${figure(Math.round(perHour))} devices per hour${left}`;
}

/** @param {Progress["points"]} points */
function drawn(points) {
  const at = points.map((point) => Date.parse(point.at));
  const line = (/** @type {string} */ kind, /** @type {(point: Progress["points"][0]) => number | null} */ value) => ({
    kind,
    dots: points.flatMap((point, place) => {
      const found = value(point);
      return found === null ? [] : [{ at: at[place], value: found }];
    }),
  });
  const all = [
    line("targeted", ({ targeted }) => targeted), line("applied", ({ credited }) => credited),
    line("successful", ({ successful }) => successful), line("failing", ({ failing }) => failing),
  ];
  const most = Math.max(1, ...all.flatMap(({ dots }) => dots.map(({ value }) => value)));
  return lines(all, { from: at[0], to: Math.max(serverNow(), at[at.length - 1] + 1), most });
}

/** Pick a few points, with the first and the last, newest first. @param {Progress["points"]} points */
function some(points) {
  const step = Math.max(1, (points.length - 1) / (ROWS - 1));
  const places = new Set(Array.from({ length: Math.min(ROWS, points.length) }, (_, row) => Math.round(row * step)));
  return points.filter((_, place) => places.has(place)).reverse();
}
