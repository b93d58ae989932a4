// The function key of the app: from the fragment of the address, or from the form. It is kept while the tab is open,
// and is sent only in the header of requests to the app.

import { byId, setText } from "./dom.js";
import { decoded } from "./route.js";

const KEPT = "key", FRAGMENT = "#key=";

/** The key; null if none was given. */
export const key = () => sessionStorage.getItem(KEPT);

/** Remove the key from the address, so that no history, bookmark or link holds it. Return whether there was one. */
export function takeKey() {
  if (!location.hash.startsWith(FRAGMENT)) return false;
  keep(decoded(location.hash.slice(FRAGMENT.length)) ?? "");
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

/** Show the form for a key while the app refuses requests, and hide it otherwise. @param {() => void} given */
export function askForKey(given) {
  const form = byId("key"), field = /** @type {HTMLInputElement} */ (byId("key-field"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep(field.value.trim());
    field.value = "";
    given();
  });
  return (/** @type {boolean} */ isRefused) => {
    setText(byId("key-why"), key() === null ? "The app requires a key." : "The app refuses this key.");
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
