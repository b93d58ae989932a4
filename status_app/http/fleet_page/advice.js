// What to do about a reason.

import { make } from "./dom.js";

/**
 * A message ends with what to do, which is shown for itself.
 *
 * @param {string} message
 * @param {string | undefined} advice
 */
export const withoutAdvice = (message, advice) => (advice ? message.replace(advice, "").replace("  ", " ").trim() : message);

/** @param {string | undefined} advice */
export const whatToDo = (advice) =>
  advice ? make("p", { class: "advice" }, make("b", {}, "What to do: "), advice) : null;
