// The route is behind the `#`, which no server sees: a view, its filters, and the open device.

/**
 * @typedef {Record<string, string>} Filters of a list of devices, as the API takes them
 * @typedef {{view: string, id: string | null, filters: Filters, device: string | null}} Place
 */

/** The filters that an address can have. */
export const FILTERS = [
  "cause", "deployment", "state", "stuck", "reason", "flag", "image", "digest", "agentVersion", "cohort", "prefix",
];

/** Parse an address. Unknown ones are the overview. @param {string} hash */
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
 * Return the address of a place.
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

/** The address of the devices that match filters. @param {Filters} filters */
export const devicesWhere = (filters) => addressOf({ view: "devices", filters });

/** The address of a deployment. @param {string} id */
export const deploymentAddress = (id) => addressOf({ view: "deployments", id });

/** Open a device in the dialog, or close the dialog. @param {string | null} device */
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

/** Decode a part of an address; null if it is empty or malformed. @param {string} text */
export function decoded(text) {
  try {
    return decodeURIComponent(text) || null;
  } catch {
    return null;
  }
}
