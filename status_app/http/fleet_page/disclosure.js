// A button that opens a region below it. Escape closes the region from within, and gives the button the focus.

import { newId } from "./dom.js";

/**
 * @param {HTMLButtonElement} button
 * @param {HTMLElement} region
 * @param {{opened: () => void, closed: () => void}} listeners called after each
 */
export function disclosure(button, region, { opened, closed }) {
  region.id ||= newId();
  region.hidden = true;
  button.setAttribute("aria-controls", region.id);
  button.setAttribute("aria-expanded", "false");

  /** @param {boolean} open */
  function set(open) {
    if (region.hidden !== open) return;
    region.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    (open ? opened : closed)();
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.key !== "Escape" || region.hidden) return;
    event.stopPropagation();
    set(false);
    button.focus();
  }

  button.addEventListener("click", () => set(region.hidden));
  button.addEventListener("keydown", onKey);
  region.addEventListener("keydown", onKey);
  return { toggle: () => set(region.hidden), close: () => set(false) };
}
