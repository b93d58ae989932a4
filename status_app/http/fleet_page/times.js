// Times and ages, by the server's clock: the clock of this machine can be wrong.

const MINUTE = 60, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

let ahead = 0; // how far the server's clock is ahead, in milliseconds

/** Set the clock from the Date header of an answer. @param {string | null} date */
export function setClock(date) {
  const now = Date.parse(date ?? "");
  if (!Number.isNaN(now)) ahead = now - Date.now();
}

/** The server's time, in milliseconds. */
export const serverNow = () => Date.now() + ahead;

/** `45 s`, `12 min`, `3 h 20 min`, `5 d 4 h`. @param {number} seconds */
export function length(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) return `${whole} s`;
  if (whole < HOUR) return `${Math.floor(whole / MINUTE)} min`;
  if (whole < DAY) return pair(Math.floor(whole / HOUR), "h", Math.floor((whole % HOUR) / MINUTE), "min");
  return pair(Math.floor(whole / DAY), "d", Math.floor((whole % DAY) / HOUR), "h");
}

/**
 * @param {number} large
 * @param {string} largeUnit
 * @param {number} small
 * @param {string} smallUnit
 */
function pair(large, largeUnit, small, smallUnit) {
  return small ? `${large} ${largeUnit} ${small} ${smallUnit}` : `${large} ${largeUnit}`;
}

/** `2026-01-05 08:17:00` of an ISO time. @param {string} iso */
const clockTime = (iso) => iso.slice(0, 19).replace("T", " ");

/** Make an element that shows a time. @param {string} iso */
export function time(iso) {
  const node = document.createElement("time");
  node.dateTime = iso;
  node.textContent = clockTime(iso);
  return node;
}

/** @typedef {"for" | "ago" | "in"} Manner how an age is worded */

/** @type {Record<Manner, (seconds: number) => string>} */
const WORDS = {
  for: (seconds) => length(seconds),
  ago: (seconds) => `${length(seconds)} ago`,
  in: (seconds) => (seconds < 0 ? length(-seconds) : "due"),
};

/**
 * Make an element that shows the age of a time; `showAges` updates it.
 *
 * @param {string} iso
 * @param {Manner} manner
 */
export function age(iso, manner) {
  const node = time(iso);
  node.title = `${clockTime(iso)} UTC`;
  node.dataset.age = manner;
  showAge(node);
  return node;
}

/** @param {HTMLTimeElement} node */
function showAge(node) {
  const text = WORDS[/** @type {Manner} */ (node.dataset.age)]((serverNow() - Date.parse(node.dateTime)) / 1000);
  if (node.textContent !== text) node.textContent = text;
}

export function showAges() {
  for (const node of document.querySelectorAll("time")) if (node.dataset.age) showAge(node);
}
