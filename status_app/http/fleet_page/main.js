// The page: deployments, what is stuck, what gets stuck next, and one device at a time.

import { deployments } from "./deployments.js";
import { DeviceDialog, fragmentOf } from "./device.js";
import { health } from "./health.js";
import { tellFreshness } from "./freshness.js";
import { nextStuck, stuckModules } from "./modules.js";
import { Updates } from "./updates.js";

const EVERY = 10; // seconds between two updates
const asked = Number(new URLSearchParams(location.search).get("every"));
const sectionOf = (heading) => document.getElementById(heading).closest("section");

const updates = new Updates(asked >= 1 ? asked : EVERY, () => tell());
const tell = tellFreshness(updates);
const app = { updates, openDevice: (id) => (location.hash = fragmentOf(id)) };
const lists = [
  deployments(sectionOf("deployments"), app),
  stuckModules(sectionOf("stuck"), app),
  nextStuck(sectionOf("next"), app),
];

document.getElementById("find").addEventListener("submit", (event) => {
  event.preventDefault();
  app.openDevice(event.target.elements.device.value.trim());
});

updates.add(...lists.map((list) => () => list.load()), health(document.getElementById("old-news")));
new DeviceDialog(app).follow();
