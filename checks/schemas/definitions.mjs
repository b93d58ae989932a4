// Each schema of an event stands alone: below `$defs` it has a copy of what it refers to in definitions.json. So a
// reader needs one file for one type of event, and a tool needs no way to find another.
//
// `node checks/schemas/definitions.mjs` writes these copies; the check of the schemas compares them.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** @typedef {Record<string, unknown>} Schema */

const DEFINITIONS = "definitions.json";

/**
 * The files of the events with their text as it should be.
 *
 * @param {string} folder
 * @returns {Map<string, string>}
 * @throws {Error} A schema refers to what definitions.json does not have.
 */
export function wholeSchemas(folder) {
  /** @type {{$defs: Record<string, Schema>}} */
  const { $defs: known } = JSON.parse(readFileSync(join(folder, DEFINITIONS), "utf8"));
  const files = readdirSync(folder).filter((name) => name.endsWith(".json") && name !== DEFINITIONS);
  return new Map(files.map((name) => [name, whole(readFileSync(join(folder, name), "utf8"), known, name)]));
}

/**
 * @param {string} text
 * @param {Record<string, Schema>} known
 * @param {string} name
 */
function whole(text, known, name) {
  const { $defs: _, ...own } = JSON.parse(text);
  const needed = new Set(references(own));
  for (const needs of needed) {
    if (!known[needs]) throw new Error(`schemas/${name}: ${DEFINITIONS} has no ${needs}`);
    for (const reference of references(known[needs])) needed.add(reference);
  }
  const $defs = Object.fromEntries(Object.entries(known).filter(([key]) => needed.has(key)));
  return `${JSON.stringify({ ...own, $defs }, null, 2)}\n`;
}

/** @param {Schema} schema */
function references(schema) {
  return [...JSON.stringify(schema).matchAll(/"\$ref":"#\/\$defs\/(\w+)"/gu)].map((match) => match[1]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = fileURLToPath(new URL("../../schemas", import.meta.url));
  for (const [name, text] of wholeSchemas(folder)) writeFileSync(join(folder, name), text);
}
