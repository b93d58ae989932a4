// The name of a device, wherever it stands, opens its timeline.

import { make, named } from "./dom.js";

/**
 * @param {string} id
 * @param {import("./main.js").App} app
 */
export function deviceButton(id, app) {
  const attributes = { type: "button", class: "device", title: "Show its timeline", onclick: () => app.openDevice(id) };
  return make("button", attributes, named(id));
}
