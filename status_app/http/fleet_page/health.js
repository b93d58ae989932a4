// Whether the news is fresh: a banner while a timer of the app is silent, or fails.

import { get } from "./api.js";
import { setText } from "./dom.js";
import { length, serverNow } from "./times.js";

const DOES = {
  flag_stuck: "nothing new is flagged as stuck, and counts are old",
  resync: "a change whose notification is lost stays unseen",
};
const PROBLEM = /^(\w+)_(never_ran|silent|failing)$/;

/** A source for the updates, which shows in `banner` what is wrong with the app. */
export function health(banner) {
  return async () => {
    const { problems, heartbeats } = await get("health/details");
    const sentences = problems.map((problem) => sentence(problem, heartbeats));
    banner.hidden = sentences.length === 0;
    setText(banner, sentences.join(" "));
  };
}

function sentence(problem, heartbeats) {
  const [, timer, what] = PROBLEM.exec(problem) ?? [];
  if (!timer) return `The app says: ${problem}.`;
  if (what === "never_ran") return `The timer ${timer} never ran: ${DOES[timer]}.`;
  const { ranAt, succeededAt, error } = heartbeats[timer];
  const ago = (time) => `${length((serverNow() - Date.parse(time)) / 1000)} ago`;
  if (what === "silent") return `The timer ${timer} ran last ${ago(ranAt)}: ${DOES[timer]}.`;
  const since = succeededAt === null ? "never succeeded" : `succeeded last ${ago(succeededAt)}`;
  return `The timer ${timer} ${since} (${error}): ${DOES[timer]}.`;
}
