// What to do about a reason.

import { make } from "./dom.js";

/**
 * Remove the advice from the end of a message: the page shows the advice separately.
 *
 * @param {string} message
 * @param {string | undefined} advice
 */
export const withoutAdvice = (message, advice) => (advice ? message.replace(advice, "").replace("  ", " ").trim() : message);

/** @param {string | undefined} advice */
export const whatToDo = (advice) =>
  advice ? make("p", { class: "advice" }, make("b", {}, "What to do: "), advice) : null;
