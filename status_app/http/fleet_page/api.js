// The API of this app. Answers are cached with their ETags, so that unchanged ones are not sent again.

import { key } from "./key.js";
import { setClock } from "./times.js";

/**
 * The types of schemas/openapi.yaml.
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
 * @typedef {Record<string, string | null>} Parameters of a request; null omits one
 * @typedef {{etag: string | null, body: any}} Kept a cached answer
 */

const KEPT = 200; // answers
const PATIENCE = 20_000; // milliseconds
/** @type {Map<string, Kept>} */
const answers = new Map(); // by address, the most recently used last

/** A failed request. `status` is 0 if no answer came. */
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

/** Whether the API answered that it does not know the id. @param {unknown} error */
export const isUnknown = (error) => error instanceof ApiError && error.status === 404;

/**
 * Return the path of a device, a deployment or a cause.
 *
 * @param {string} list
 * @param {string} id
 */
export const pathOf = (list, id) => `${list}/${encodeURIComponent(id)}`;

/**
 * Fetch a path of the API. An unchanged answer is the same object as before.
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
    throw new ApiError(0, "the answer is incomplete or not JSON");
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
    throw new ApiError(0, late ? `no answer within ${PATIENCE / 1000} s` : "it cannot be reached");
  }
  // The sign-in proxy in front of the app redirects users whose session has expired.
  if (response.type === "opaqueredirect") throw new ApiError(0, "your session has expired: reload this page");
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

/** Make an error from an answer and its problem document (RFC 9457). @param {Response} response */
async function refusal(response) {
  const problem = await response.json().catch(() => ({})); // errors of the Functions host have no document
  const words = [problem?.title, problem?.detail].filter((word) => typeof word === "string");
  const message = words.length ? words.join(": ") : response.statusText;
  return new ApiError(response.status, message, Number(response.headers.get("Retry-After")) || 0);
}
