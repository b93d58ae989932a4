// schemas/openapi.yaml, as Redocly lints it and as openapi-typescript turns it into types.
import { pathToFileURL } from "node:url";

import { createConfig, lint } from "@redocly/openapi-core";
import openapiTypes, { astToString } from "openapi-typescript";

/** @type {Record<string, "off">} */
const RULES = {
  "operation-4xx-response": "off", // /health takes nothing, so nobody can ask it wrongly
};

/**
 * What the tools say against the document, and, where it can be read, the types of the API as TypeScript.
 *
 * @param {string} path
 */
export async function readOpenapi(path) {
  const config = await createConfig({ extends: ["recommended-strict"], rules: RULES });
  const findings = [];
  for (const { ruleId, message, location } of await lint({ ref: path, config })) {
    findings.push(`Redocly, ${ruleId}: ${message} (${location[0]?.pointer})`);
  }
  let types = "";
  try {
    types = astToString(await openapiTypes(pathToFileURL(path), { silent: true }));
  } catch (error) {
    findings.push(`openapi-typescript: ${error}`);
  }
  return { findings, types };
}
