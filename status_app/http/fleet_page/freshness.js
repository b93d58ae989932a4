// How old is what is shown: a line at the top, and a banner while the API does not answer.

import { byId, setText } from "./dom.js";
import { length, showAges } from "./times.js";

/** Tells of the updates, now and each second. @param {import("./updates.js").Updates} updates */
export function tellFreshness(updates) {
  const since = (/** @type {number} */ moment) => length((performance.now() - moment) / 1000);
  const until = (/** @type {number} */ moment) => length((moment - performance.now()) / 1000);
  const shownAge = () => (updates.answeredAt === null ? null : since(updates.answeredAt));

  function tell() {
    showAges();
    const { error, paused, next } = updates;
    const shown = shownAge();
    setText(byId("freshness"), shown === null ? (error ? "Not answered" : "Loading") : `Updated ${shown} ago`);
    byId("banner").hidden = error === null;
    if (error === null) return;
    setText(byId("banner-what"), sentence(error));
    const age = shown === null ? "Not all of this page was answered yet." : `What is shown is ${shown} old.`;
    const again = next === null ? (paused ? "Updates are paused." : "") : `The next try is in ${until(next)}.`;
    setText(byId("banner-shown"), `${age} ${again}`.trim());
  }

  byId("pause").addEventListener("click", () => {
    updates.pause(!updates.paused);
    byId("pause").setAttribute("aria-pressed", String(updates.paused));
    setText(byId("pause"), updates.paused ? "Paused" : "Pause");
  });
  byId("banner-retry").addEventListener("click", () => updates.now());
  setInterval(tell, 1000);
  return tell;
}

/** @param {import("./updates.js").Failure} failure */
function sentence({ status, message }) {
  if (status === 401) {
    return "The API refuses the key (401). Open this page with a host key of the app: /api/fleet?code=KEY.";
  }
  if (status) return `The API does not answer as it should (${status}): ${message}`;
  return `The API does not answer: ${message}`;
}
