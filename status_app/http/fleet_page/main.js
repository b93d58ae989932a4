// The page: the view that the address names, and at most one device in a dialog.

import { DeviceDialog } from "./device.js";
import { deployment } from "./deployment.js";
import { devices } from "./devices.js";
import { byId, within } from "./dom.js";
import { fleet } from "./fleet.js";
import { showFreshness } from "./freshness.js";
import { askForKey, takeKey } from "./key.js";
import { overview } from "./overview.js";
import { placeOf } from "./route.js";
import { search } from "./search.js";
import { Updates } from "./updates.js";

/**
 * @typedef {import("./overview.js").View} View
 * @typedef {import("./route.js").Place} Place
 * @typedef {{view: View, focused: Element | null, scrolled: number}} Left a view that can be shown again
 */

const EVERY = 10; // seconds between two updates
const asked = Number(new URLSearchParams(location.search).get("every"));

takeKey();
const updates = new Updates(asked >= 1 ? asked : EVERY, () => show());
const show = showFreshness(updates, askForKey(() => updates.now()));
const dialog = new DeviceDialog(updates);
const reload = () => updates.now();
/** @type {Left} */
const start = { view: overview(reload), focused: null, scrolled: 0 };
/** @type {{place: Place, view: View} | null} */
let shown = null;

/** @param {Place} place */
function viewOf({ view, id, filters }) {
  if (view === "devices") return devices(filters, reload);
  if (view === "deployments" && id !== null) return deployment(id, reload);
  return start.view;
}

function follow() {
  if (takeKey()) reload();
  const place = placeOf(location.hash);
  if (place.device === null) dialog.follow(null); // the page behind an open dialog gets no focus
  const isSame = shown !== null && shown.place.view === place.view && shown.place.id === place.id;
  if (!isSame || shown === null) change(place);
  else if (JSON.stringify(shown.place.filters) !== JSON.stringify(place.filters)) {
    shown.place = place;
    shown.view.follow?.(place);
  }
  dialog.follow(place.device);
}

/** @param {Place} place */
function change(place) {
  const isFirst = shown === null;
  if (shown !== null) updates.remove(...shown.view.sources);
  if (shown?.view === start.view) Object.assign(start, { focused: document.activeElement, scrolled: scrollY });
  shown = { place, view: viewOf(place) };
  byId("view").replaceChildren(shown.view.node);
  if (shown.view === start.view) {
    scrollTo(0, start.scrolled);
    if (start.focused instanceof HTMLElement) start.focused.focus();
  } else if (!isFirst) {
    scrollTo(0, 0);
    within(shown.view.node, "h2").focus();
  }
  byId("back").hidden = shown.view === start.view;
  updates.add(...shown.view.sources);
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  within(byId("view"), "h2").focus();
});
addEventListener("hashchange", follow);
search();
updates.add(fleet());
follow();
