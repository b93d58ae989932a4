// The API beside this page. What did not change is not sent again: each answer is kept with its ETag.

import { key } from "./key.js";
import { setClock } from "./times.js";

/**
 * What the API answers, as schemas/openapi.yaml has it.
 *
 * @typedef {import("../../../schemas/openapi").components["schemas"]} Schemas
 * @typedef {Schemas["Device"]} Device
 * @typedef {Schemas["DeviceSummary"]} DeviceSummary
 * @typedef {Schemas["Module"]} Module
 * @typedef {Schemas["Transition"]} Transition
 * @typedef {Schemas["Cause"]} Cause
 * @typedef {Schemas["Deployment"]} Deployment
 * @typedef {Schemas["DeploymentSummary"]} DeploymentSummary
 * @typedef {Schemas["HealthDetails"]} HealthDetails
 *
 * @typedef {Record<string, string | null>} Parameters of a question; null leaves one out
 * @typedef {{etag: string | null, body: any}} Kept an answer
 */

const KEPT = 200; // answers
const PATIENCE = 20_000; // milliseconds
/** @type {Map<string, Kept>} */
const answers = new Map(); // by address, the one used last at the end

/** An answer that is none. `status` is 0 where none came. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter; // seconds
  }
}

/** Whether the API does not know what was asked for. @param {unknown} error */
export const isUnknown = (error) => error instanceof ApiError && error.status === 404;

/**
 * The path of a device, a deployment or a cause.
 *
 * @param {string} list
 * @param {string} id
 */
export const pathOf = (list, id) => `${list}/${encodeURIComponent(id)}`;

/**
 * What the API says. An answer that did not change is the same object as before.
 *
 * @param {string} path
 * @param {Parameters} [parameters]
 * @returns {Promise<any>}
 * @throws {ApiError}
 */
export async function get(path, parameters = {}) {
  const url = new URL(path, location.origin + location.pathname);
  for (const [name, value] of Object.entries(parameters)) if (value !== null) url.searchParams.set(name, value);
  const kept = answers.get(url.href);
  const response = await answer(url, kept);
  setClock(response.headers.get("Date"));
  if (response.status === 304 && kept) return keep(url.href, kept);
  if (!response.ok) throw await refusal(response);
  try {
    return keep(url.href, { etag: response.headers.get("ETag"), body: await response.json() });
  } catch {
    throw new ApiError(0, "what came is not JSON, or came in part");
  }
}

/**
 * @param {URL} url
 * @param {Kept | undefined} kept
 */
async function answer(url, kept) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  const given = key();
  if (given !== null) headers["x-functions-key"] = given;
  if (kept?.etag) headers["If-None-Match"] = kept.etag;
  let response;
  try {
    response = await fetch(url, {
      headers, cache: "no-store", redirect: "manual", signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new ApiError(0, late ? `nothing came in ${PATIENCE / 1000} s` : "it cannot be reached");
  }
  // What signs people in stands before the app, and sends those away who are not signed in any more.
  if (response.type === "opaqueredirect") throw new ApiError(0, "the sign-in is over: load this page again");
  return response;
}

/**
 * @param {string} href
 * @param {Kept} kept
 */
function keep(href, kept) {
  answers.delete(href);
  answers.set(href, kept);
  const [oldest] = answers.keys();
  if (answers.size > KEPT) answers.delete(oldest);
  return kept.body;
}

/** The error of an answer, with what its problem document says (RFC 9457). @param {Response} response */
async function refusal(response) {
  const problem = await response.json().catch(() => ({})); // an error of the host itself has no document
  const words = [problem?.title, problem?.detail].filter((word) => typeof word === "string");
  const message = words.length ? words.join(": ") : response.statusText;
  return new ApiError(response.status, message, Number(response.headers.get("Retry-After")) || 0);
}
