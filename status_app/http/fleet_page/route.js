// The address of what is shown: behind the `#`, which no server sees. A view, its filters, and a device that is open.

/**
 * @typedef {Record<string, string>} Filters of a list of devices, as the API takes them
 * @typedef {{view: string, id: string | null, filters: Filters, device: string | null}} Place
 */

/** The filters that an address can hold. */
export const FILTERS = [
  "cause", "deployment", "state", "stuck", "reason", "flag", "image", "digest", "agentVersion", "cohort", "prefix",
];

/** What an address says. One that says nothing that is known is that of the whole fleet. @param {string} hash */
export function placeOf(hash) {
  const [path, query = ""] = split(hash.slice(1), "?");
  const [view, id = null] = split(path, "/");
  const asked = new URLSearchParams(query);
  /** @type {Filters} */
  const filters = {};
  for (const name of FILTERS) {
    const value = asked.get(name);
    if (value) filters[name] = value;
  }
  /** @type {Place} */
  const place = { view, id: id === null ? null : decoded(id), filters, device: asked.get("device") || null };
  return place;
}

/**
 * The address of a place.
 *
 * @param {{view?: string, id?: string | null, filters?: Filters, device?: string | null}} place
 */
export function addressOf({ view = "", id = null, filters = {}, device = null }) {
  const query = new URLSearchParams(filters);
  if (device !== null) query.set("device", device);
  const path = id === null ? view : `${view}/${encodeURIComponent(id)}`;
  const asked = query.toString();
  return asked ? `#${path}?${asked}` : `#${path}`;
}

/** The address of devices to which filters apply. @param {Filters} filters */
export const devicesWhere = (filters) => addressOf({ view: "devices", filters });

/** The address of a deployment. @param {string} id */
export const deploymentAddress = (id) => addressOf({ view: "deployments", id });

/** Opens a device above what is shown, or closes it. @param {string | null} device */
export function openDevice(device) {
  location.hash = addressOf({ ...placeOf(location.hash), device });
}

/**
 * @param {string} text
 * @param {string} at
 */
function split(text, at) {
  const place = text.indexOf(at);
  return place < 0 ? [text] : [text.slice(0, place), text.slice(place + 1)];
}

/** Without its escapes; null where that leaves nothing, or one is cut. @param {string} text */
export function decoded(text) {
  try {
    return decodeURIComponent(text) || null;
  } catch {
    return null;
  }
}
