// One device in a dialog: its state, modules and history. The address names the device, so that a link can open it.

import { whatToDo, withoutAdvice } from "./advice.js";
import { get, isUnknown, pathOf } from "./api.js";
import { modules } from "./device_modules.js";
import { byId, link, make, named, part, setText, within } from "./dom.js";
import { evidence, facts } from "./facts.js";
import { history } from "./history.js";
import { deploymentAddress, openDevice, placeOf } from "./route.js";
import { stateBadge, stuckBadge, words } from "./states.js";
import { age, time } from "./times.js";

/**
 * @typedef {import("./api.js").Device} Device
 * @typedef {import("./updates.js").Updates} Updates
 */

/** Opens the device that the address names; closes the dialog if it names none. */
export class DeviceDialog {
  #dialog = /** @type {HTMLDialogElement} */ (byId("device"));
  #updates;
  /** @type {{id: string, sources: import("./updates.js").Source[]} | null} */
  #shown = null;

  /** @param {Updates} updates */
  constructor(updates) {
    this.#updates = updates;
    byId("device-close").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("close", () => this.#leave());
    this.#dialog.addEventListener("click", ({ target }) => target === this.#dialog && this.#dialog.close());
  }

  /** Shows the device of the address. @param {string | null} id */
  follow(id) {
    if (id === (this.#shown?.id ?? null)) return;
    if (id === null) this.#dialog.close();
    else this.#show(id);
  }

  /** @param {string} id */
  #show(id) {
    this.#forget();
    const now = nowOf(id), past = history(id, () => this.#updates.now());
    this.#shown = { id, sources: [now, past] };
    setText(byId("device-id"), id);
    byId("device-parts").replaceChildren(now.node, past.node);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
    this.#updates.add(now, past);
  }

  /** Runs after the dialog was closed by its button, by Escape or by the address. */
  #leave() {
    this.#forget();
    if (placeOf(location.hash).device !== null) openDevice(null);
  }

  #forget() {
    if (this.#shown !== null) this.#updates.remove(...this.#shown.sources);
    this.#shown = null;
  }
}

/** @param {string} id @returns {import("./updates.js").Source} */
function nowOf(id) {
  const body = make("div"), node = part("Now", body);
  const note = within(node, ".note"), why = make("details", {}, make("summary", {}, "Evidence"), make("div"));
  const known = make("div"), all = modules();
  let wasKnown = false;

  /** @param {boolean} byItself */
  async function load(byItself) {
    /** @type {Device | null} */
    let device = null;
    try {
      device = await get(pathOf("devices", id));
    } catch (error) {
      if (!isUnknown(error)) throw error;
    }
    note.hidden = device !== null;
    body.hidden = device === null;
    setText(note, `${wasKnown ? "This device has been deleted." : "This device is not known."} Its stored history is below.`);
    wasKnown ||= device !== null;
    if (device === null) return;
    const compared = device.evidence.$edgeAgent ?? [];
    known.replaceChildren(summary(device), factsOf(device));
    within(why, "div").replaceChildren(evidence(compared));
    why.hidden = compared.length === 0;
    all.show(device, byItself);
    if (!body.hasChildNodes()) body.append(known, why, all.node);
  }
  return { node, load };
}

/** @param {Device} device */
function summary({ state, stuck, stuckSince, reason, message, since, advice }) {
  const flagged = stuckSince && stuck ? [" ", stuckBadge(), " for ", age(stuckSince, "for")] : [];
  return make(
    "div",
    {},
    make("p", { class: "what" }, stateBadge(state), " for ", age(since, "for"), ...flagged),
    make("p", { class: "why" }, make("b", {}, words(reason)), " ", named(withoutAdvice(message, advice[reason]))),
    whatToDo(advice[reason]),
  );
}

/** @param {Device} device */
function factsOf(device) {
  const { desiredVersion, lastDesiredVersion, connectionState, lastActivityAt } = device;
  const taken = desiredVersion === lastDesiredVersion ? "" : `, the device has ${lastDesiredVersion ?? "no version"}`;
  const applied = device.deployments.flatMap((id, place) => [place ? ", " : "", link(deploymentAddress(id), named(id))]);
  return facts([
    ["deployments applied", applied.length ? make("span", {}, ...applied) : null],
    ["targeted, not applied", device.targeted.join(", ")],
    ["version", desiredVersion === null ? null : `${desiredVersion}${taken}`],
    ["connection", connectionState],
    ["last activity", lastActivityAt && age(lastActivityAt, "ago")],
    ["cohorts", device.cohorts.join(", ")],
    ["flags", device.flags.map(words).join(", ")],
    ["agent", device.agentVersion],
    ["status code of the agent", device.statusCode],
    ["counted by IoT Hub as", device.portal],
    ["stuck at", device.stuckAt && !device.stuck ? time(device.stuckAt) : null],
    ["grace period", device.gracePeriod],
    ["last change", time(device.at)],
    ["twin last read", time(device.observedAt)],
  ]);
}
