// Freshness: the age of each part of the page, and a banner while the API does not answer. The open dialog covers
// the page, so it has a banner of its own.

import { byId, make, setText, within } from "./dom.js";
import { length, showAges } from "./times.js";

/** @typedef {import("./updates.js").Updates} Updates */

const since = (/** @type {number} */ moment) => length((performance.now() - moment) / 1000);

/**
 * Show the age of the data, now and every second.
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
      const note = node.querySelector(":scope > .note"); // the header has none
      if (note && known.error && known.answeredAt === null) setText(note, "No answer yet.");
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
 * Add a banner; return a function that shows an error in it.
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
    const age = answeredAt === null ? "Some of this page has not loaded yet." : `This page is ${since(answeredAt)} old.`;
    const until = next === null ? 0 : (next - performance.now()) / 1000;
    setText(shown, `${age} ${next === null ? (paused ? "Updates are paused." : "") : `Next try in ${length(until)}.`}`);
  };
}

/** @param {import("./updates.js").Failure} failure */
function sentence({ status, message }) {
  if (status === undefined) return `The answer cannot be shown: ${message}`;
  if (status === 401) return "The app refuses the key (401).";
  if (status === 429) return "The app gets too many requests (429).";
  if (status) return `The app answered with an error (${status}): ${message}`;
  return `The app does not answer: ${message}`;
}
