// The key of the app: from the fragment of the address, or asked for. It is kept while the tab is open, and goes nowhere
// but into the header of what is asked of the app.

import { byId, setText } from "./dom.js";
import { decoded } from "./route.js";

const KEPT = "key", FRAGMENT = "#key=";

/** The key; null where none was given. */
export const key = () => sessionStorage.getItem(KEPT);

/** Takes a key out of the address, so that it is in no history, bookmark or link. Whether there was one. */
export function takeKey() {
  if (!location.hash.startsWith(FRAGMENT)) return false;
  keep(decoded(location.hash.slice(FRAGMENT.length)) ?? "");
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

/** Asks for a key where the app refuses, and hides that where it does not. @param {() => void} given */
export function askForKey(given) {
  const form = byId("key"), field = /** @type {HTMLInputElement} */ (byId("key-field"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep(field.value.trim());
    field.value = "";
    given();
  });
  return (/** @type {boolean} */ isRefused) => {
    setText(byId("key-why"), key() === null ? "The app takes a key." : "The app refuses this key.");
    const opens = isRefused && form.hidden;
    form.hidden = !isRefused;
    if (opens) field.focus();
  };
}

/** @param {string} value */
function keep(value) {
  if (value) sessionStorage.setItem(KEPT, value);
  else sessionStorage.removeItem(KEPT);
}
