// As of when is what is shown: a line in each part of the page, and a banner while the API does not answer, which stands
// in the dialog, too: that one is above all else.

import { byId, make, setText, within } from "./dom.js";
import { length, showAges } from "./times.js";

/** @typedef {import("./updates.js").Updates} Updates */

const since = (/** @type {number} */ moment) => length((performance.now() - moment) / 1000);

/**
 * Says so of the updates, now and each second.
 *
 * @param {Updates} updates
 * @param {(isRefused: boolean) => void} askForKey
 */
export function showFreshness(updates, askForKey) {
  const banners = [...document.querySelectorAll(".outage")].map((place) => outage(place, updates));

  function show() {
    showAges();
    const { error } = updates;
    for (const banner of banners) banner(error);
    askForKey(error?.status === 401);
    for (const [{ node }, known] of updates.known) {
      const shown = known.answeredAt === null ? "" : `as of ${since(known.answeredAt)} ago`;
      setText(within(node, ".asof"), known.error ? [shown, sentence(known.error)].filter(Boolean).join(": ") : shown);
      node.classList.toggle("stale", known.error !== null);
      const note = node.querySelector(":scope > .note"); // the top has none
      if (note && known.error && known.answeredAt === null) setText(note, "Not answered yet.");
    }
  }

  byId("pause").addEventListener("click", () => {
    updates.pause(!updates.paused);
    byId("pause").setAttribute("aria-pressed", String(updates.paused));
    setText(byId("pause"), updates.paused ? "Paused" : "Pause");
  });
  setInterval(show, 1000);
  return show;
}

/**
 * A banner, and what shows in it what went wrong.
 *
 * @param {Element} place
 * @param {Updates} updates
 */
function outage(place, updates) {
  const what = make("p", { class: "what", role: "alert" }), shown = make("p");
  const again = make("button", { type: "button", onclick: () => updates.now() }, "Try now");
  const banner = make("div", { class: "banner", hidden: "" }, what, shown, again);
  place.append(banner);
  return (/** @type {import("./updates.js").Failure | null} */ error) => {
    banner.hidden = error === null;
    setText(what, error === null ? "" : sentence(error));
    const { answeredAt, next, paused } = updates;
    const age = answeredAt === null ? "Not all of this page was answered yet." : `What is shown is ${since(answeredAt)} old.`;
    const until = next === null ? 0 : (next - performance.now()) / 1000;
    setText(shown, `${age} ${next === null ? (paused ? "Updates are paused." : "") : `The next try is in ${length(until)}.`}`);
  };
}

/** @param {import("./updates.js").Failure} failure */
function sentence({ status, message }) {
  if (status === undefined) return `What came cannot be shown: ${message}`;
  if (status === 401) return "The app does not take the key (401).";
  if (status === 429) return "The app is asked too often (429).";
  if (status) return `The app does not answer as it should (${status}): ${message}`;
  return `The app does not answer: ${message}`;
}
