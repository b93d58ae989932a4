// The page: deployments, what is stuck, what gets stuck next, and one device at a time.

import { deployments } from "./deployments.js";
import { DeviceDialog, fragmentOf } from "./device.js";
import { health } from "./health.js";
import { byId } from "./dom.js";
import { tellFreshness } from "./freshness.js";
import { nextStuck, stuckModules } from "./modules.js";
import { Updates } from "./updates.js";

/** @typedef {{updates: Updates, openDevice: (id: string) => void}} App what the parts of the page share */

const EVERY = 10; // seconds between two updates
const asked = Number(new URLSearchParams(location.search).get("every"));
/** @param {string} heading */
const sectionOf = (heading) => /** @type {Element} */ (byId(heading).closest("section"));

const updates = new Updates(asked >= 1 ? asked : EVERY, () => tell());
const tell = tellFreshness(updates);
/** @type {App} */
const app = { updates, openDevice: (id) => (location.hash = fragmentOf(id)) };
const lists = [
  deployments(sectionOf("deployments"), app),
  stuckModules(sectionOf("stuck"), app),
  nextStuck(sectionOf("next"), app),
];

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  app.openDevice(/** @type {HTMLInputElement} */ (byId("find-id")).value.trim());
});

updates.add(...lists.map((list) => () => list.load()), health(byId("old-news")));
new DeviceDialog(app).follow();
