// The search at the top: by the start of an id, with suggestions.

import { get } from "./api.js";
import { byId, make } from "./dom.js";
import { devicesWhere, openDevice } from "./route.js";

const PAUSE = 200; // milliseconds after the last key press
const SUGGESTIONS = "8";

/** Suggest devices while the user types. Open the device that matches, or list all that start with the text. */
export function search() {
  const field = /** @type {HTMLInputElement} */ (byId("find-id")), list = byId("found");
  /** @type {number | undefined} */
  let timer;
  /** @type {string[]} */
  let found = [];

  async function suggest() {
    const prefix = field.value.trim();
    found = prefix ? await idsOf(prefix) : [];
    if (field.value.trim() === prefix) list.replaceChildren(...found.map((id) => make("option", { value: id })));
  }
  field.addEventListener("input", () => {
    clearTimeout(timer);
    if (found.includes(field.value)) openDevice(field.value); // a suggestion was picked
    else timer = setTimeout(suggest, PAUSE);
  });
  byId("find").addEventListener("submit", async (event) => {
    event.preventDefault();
    clearTimeout(timer);
    const prefix = field.value.trim();
    const ids = await idsOf(prefix);
    if (ids.includes(prefix) || ids.length === 0) openDevice(prefix);
    else if (ids.length === 1) openDevice(ids[0]);
    else location.hash = devicesWhere({ prefix });
  });
}

/** @param {string} prefix */
async function idsOf(prefix) {
  try {
    /** @type {{items: import("./api.js").DeviceSummary[]}} */
    const { items } = await get("devices", { prefix, limit: SUGGESTIONS });
    return items.map(({ deviceId }) => deviceId);
  } catch {
    return []; // no suggestion: the view opened next shows the error
  }
}
