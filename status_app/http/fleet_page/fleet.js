// The app itself: the name of the fleet, and whether the timers run.

import { get } from "./api.js";
import { byId, setText } from "./dom.js";
import { length, serverNow } from "./times.js";

/** @typedef {"flag_stuck" | "resync"} Timer */

/** @type {Record<Timer, string>} */
const DOES = {
  flag_stuck: "no device is newly flagged as stuck, and counts are old",
  resync: "changes whose notification was lost are missed",
};
const PROBLEM = /^(\w+)_(never_ran|silent|failing)$/u;

/**
 * A source: the name of the fleet, and a banner while a timer of the app is silent or failing.
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
  if (!name) return `The app reports: ${problem}.`;
  const timer = /** @type {Timer} */ (name);
  const run = heartbeats[timer];
  if (what === "never_ran" || run === null) return `The timer ${timer} never ran: ${DOES[timer]}.`;
  const { ranAt, succeededAt, error } = run;
  const ago = (/** @type {string} */ time) => `${length((serverNow() - Date.parse(time)) / 1000)} ago`;
  if (what === "silent") return `The timer ${timer} last ran ${ago(ranAt)}: ${DOES[timer]}.`;
  const since = succeededAt === null ? "never succeeded" : `last succeeded ${ago(succeededAt)}`;
  return `The timer ${timer} ${since} (${error}): ${DOES[timer]}.`;
}
