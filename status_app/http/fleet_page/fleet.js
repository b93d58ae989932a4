// The app behind the fleet: what people call the fleet, and whether the news is fresh.

import { get } from "./api.js";
import { byId, setText } from "./dom.js";
import { length, serverNow } from "./times.js";

/** @typedef {"flag_stuck" | "resync"} Timer */

/** @type {Record<Timer, string>} */
const DOES = {
  flag_stuck: "nothing new is flagged as stuck, and counts are old",
  resync: "a change whose notification is lost stays unseen",
};
const PROBLEM = /^(\w+)_(never_ran|silent|failing)$/u;

/**
 * A source: the name of the fleet, and a banner while a timer of the app is silent, or fails.
 *
 * @returns {import("./updates.js").Source}
 */
export function fleet() {
  const banner = byId("old-news");
  return {
    node: byId("fleet"),
    async load() {
      /** @type {import("./api.js").HealthDetails} */
      const { problems, heartbeats, fleet: name } = await get("health/details");
      setText(byId("fleet-name"), name);
      document.title = `${name}: edge deployments`;
      const sentences = problems.map((problem) => sentence(problem, heartbeats));
      banner.hidden = sentences.length === 0;
      setText(banner, sentences.join(" "));
    },
  };
}

/**
 * @param {string} problem
 * @param {import("./api.js").HealthDetails["heartbeats"]} heartbeats
 */
function sentence(problem, heartbeats) {
  const [, name, what] = PROBLEM.exec(problem) ?? [];
  if (!name) return `The app says: ${problem}.`;
  const timer = /** @type {Timer} */ (name);
  const run = heartbeats[timer];
  if (what === "never_ran" || run === null) return `The timer ${timer} never ran: ${DOES[timer]}.`;
  const { ranAt, succeededAt, error } = run;
  const ago = (/** @type {string} */ time) => `${length((serverNow() - Date.parse(time)) / 1000)} ago`;
  if (what === "silent") return `The timer ${timer} ran last ${ago(ranAt)}: ${DOES[timer]}.`;
  const since = succeededAt === null ? "never succeeded" : `succeeded last ${ago(succeededAt)}`;
  return `The timer ${timer} ${since} (${error}): ${DOES[timer]}.`;
}
