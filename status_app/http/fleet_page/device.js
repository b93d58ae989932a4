// One device in a dialog: what it is now, its modules, its timeline. The address names it, so that a link opens it.

import { get, isUnknown, pathOf } from "./api.js";
import { byId, headOf, make, named, setText, within } from "./dom.js";
import { facts } from "./facts.js";
import { stateBadge, stuckBadge, words } from "./states.js";
import { timeline } from "./timeline.js";
import { age, time } from "./times.js";

/** @typedef {import("./api.js").Device} Device */

const FRAGMENT = "#device=";

/** The address of a device, without what stands before its fragment. @param {string} id */
export const fragmentOf = (id) => FRAGMENT + encodeURIComponent(id);

/** Opens the device that the address names, and closes it where it names none. */
export class DeviceDialog {
  #dialog = /** @type {HTMLDialogElement} */ (byId("device"));
  #note = byId("device-note");
  #now = byId("device-now");
  #app;
  /** @type {{id: string, list: ReturnType<typeof timeline>, sources: import("./updates.js").Source[]} | null} */
  #shown = null;

  /** @param {import("./main.js").App} app */
  constructor(app) {
    this.#app = app;
    byId("device-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#leave());
    this.#dialog.addEventListener("click", ({ target }) => target === this.#dialog && this.#dialog.close());
    addEventListener("hashchange", () => this.follow());
  }

  /** Shows what the address says. */
  follow() {
    const id = deviceIn(location.hash);
    if (id === (this.#shown?.id ?? null)) return;
    if (id === null) this.#dialog.close();
    else this.#show(id);
  }

  /** @param {string} id */
  #show(id) {
    this.#forget();
    const list = timeline(within(this.#dialog, "section"), id, this.#app);
    list.clear();
    const sources = [() => this.#load(id), () => list.load()];
    this.#shown = { id, list, sources };
    setText(byId("device-id"), id);
    setText(this.#note, "Loading");
    this.#note.hidden = false;
    this.#now.replaceChildren();
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
    this.#app.updates.add(...sources);
  }

  /** @param {string} id */
  async #load(id) {
    /** @type {Device | null} */
    let device = null;
    try {
      device = await get(pathOf("devices", id));
    } catch (error) {
      if (!isUnknown(error)) throw error;
    }
    if (this.#shown?.id !== id) return;
    this.#note.hidden = device !== null;
    setText(this.#note, "No such device is known now. What is kept of its history stands below.");
    this.#now.replaceChildren(...(device ? [summary(device), factsOf(device), modules(device)] : []));
  }

  /** The dialog was closed: by its button, by Escape, or by the address. */
  #leave() {
    this.#forget();
    if (deviceIn(location.hash) !== null) history.pushState(null, "", location.pathname + location.search);
  }

  #forget() {
    if (this.#shown === null) return;
    this.#app.updates.remove(...this.#shown.sources);
    this.#shown.list.clear();
    this.#shown = null;
  }
}

/** @param {string} hash */
function deviceIn(hash) {
  if (!hash.startsWith(FRAGMENT)) return null;
  try {
    return decodeURIComponent(hash.slice(FRAGMENT.length)) || null;
  } catch {
    return null; // a cut escape
  }
}

/** @param {Device} device */
function summary({ state, stuck, stuckSince, reason, message, since }) {
  const flagged = stuckSince && stuck ? [" ", stuckBadge("stuck"), " for ", age(stuckSince, "for")] : [];
  return make(
    "div",
    {},
    make("p", { class: "what" }, stateBadge(state), " for ", age(since, "for"), ...flagged),
    make("p", { class: "why" }, make("b", {}, words(reason)), " ", named(message)),
  );
}

/** @param {Device} device */
function factsOf(device) {
  const { desiredVersion, lastDesiredVersion } = device;
  const taken = desiredVersion === lastDesiredVersion ? "" : `, the device has ${lastDesiredVersion ?? "none"}`;
  return facts([
    ["deployments", device.deployments.join(", ")],
    ["targeted, not applied", device.targeted.join(", ")],
    ["version", desiredVersion === null ? null : `${desiredVersion}${taken}`],
    ["flags", device.flags.map(words).join(", ")],
    ["agent", device.agentVersion],
    ["agent's code", device.statusCode],
    ["counter of IoT Hub", device.portal],
    ["last change", time(device.at)],
    ["looked at", time(device.observedAt)],
  ]);
}

/** @param {Device} device */
function modules({ modules: { total, settled }, moduleStates }) {
  const rows = moduleStates.map((item) =>
    make(
      "tr",
      {},
      make("td", {}, named(item.module)),
      make("td", {}, stateBadge(item.state), ...(item.stuck ? [" ", stuckBadge()] : [])),
      make("td", {}, words(item.reason)),
      make("td", { class: "figure" }, age(item.since, "for")),
    ),
  );
  return make(
    "table",
    { class: "of-device" },
    make("caption", {}, `Modules: ${settled} of ${total} settled`),
    headOf(["Module", "State", "Reason", "For"], ["For"]),
    make("tbody", {}, ...rows),
  );
}
