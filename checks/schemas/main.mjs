// `node checks/schemas/main.mjs [FOLDER] [EVENTS]`: reads the schemas, and the events that the docs show, with the
// tools that others read them with. Prints what these say against them, one finding a line; ends with 1 if there is any.
//
// FOLDER is the project, EVENTS a file with further events, one a line. The types of the API, which the page and the
// client of the tests are checked with, go to schemas/openapi.d.ts.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { argv, stderr } from "node:process";
import { fileURLToPath } from "node:url";

import { readAsyncapi } from "./asyncapi.mjs";
import { wholeSchemas } from "./definitions.mjs";
import { compiled, eventFindings } from "./events.mjs";
import { readOpenapi } from "./openapi.mjs";

const root = argv[2] ?? fileURLToPath(new URL("../..", import.meta.url));
const schemas = join(root, "schemas");
/** @type {string[]} */
const findings = [];

/**
 * @param {string} path
 * @param {string[]} found
 */
function report(path, found) {
  findings.push(...found.map((finding) => `${relative(root, path)}: ${finding}`));
}

/**
 * A validator for each of these that compiles.
 *
 * @param {[key: string, schema: object, path: string][]} all
 */
function validators(all) {
  /** @type {import("./events.mjs").Validators} */
  const found = new Map();
  for (const [key, schema, path] of all) {
    try {
      found.set(key, compiled(schema));
    } catch (error) {
      report(path, [`Ajv, ${key}: ${error}`]);
    }
  }
  return found;
}

/** The events that a page shows: its blocks of JSON that have a `specversion`. @param {string} path */
function shownEvents(path) {
  const blocks = readFileSync(path, "utf8").matchAll(/^```json\n(.*?)^```/gmsu);
  return [...blocks].map((block) => block[1]).filter((text) => "specversion" in JSON.parse(text));
}

const openapi = join(schemas, "openapi.yaml");
const api = await readOpenapi(openapi);
report(openapi, api.findings);
if (api.types) writeFileSync(join(schemas, "openapi.d.ts"), api.types);

const asyncapi = join(schemas, "asyncapi.yaml");
const document = await readAsyncapi(asyncapi);
report(asyncapi, document.findings);
const ofMessages = validators(document.payloads.map(([type, payload]) => [type, payload, asyncapi]));

const files = [...wholeSchemas(schemas)].map(([name, text]) => ({ path: join(schemas, name), text }));
for (const { path, text } of files) {
  if (readFileSync(path, "utf8") !== text) report(path, ["its $defs are not those of definitions.json: make schemas"]);
}
const ofData = validators(
  files.map(({ path }) => {
    const schema = JSON.parse(readFileSync(path, "utf8"));
    return [schema.$id, schema, path];
  }),
);

const docs = join(root, "docs");
const pages = readdirSync(docs).filter((name) => name.endsWith(".md"));
const events = pages.flatMap((name) => shownEvents(join(docs, name)).map((text) => ({ path: join(docs, name), text })));
if (events.length === 0) report(docs, ["no page shows an event"]);
for (const path of argv.slice(3)) {
  const lines = readFileSync(path, "utf8").split("\n").filter(Boolean);
  events.push(...lines.map((text) => ({ path, text })));
}
for (const { path, text } of events) report(path, eventFindings(text, ofMessages, ofData));

for (const finding of findings) stderr.write(`${finding}\n`);
process.exitCode = findings.length ? 1 : 0;
