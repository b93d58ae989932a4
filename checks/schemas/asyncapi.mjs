// schemas/asyncapi.yaml, as @asyncapi/parser reads it.
import { DiagnosticSeverity, Parser, fromFile } from "@asyncapi/parser";

/**
 * What the parser says against the document, and, where it can be read, the schema of each message beside its name.
 *
 * @param {string} path
 */
export async function readAsyncapi(path) {
  const { document, diagnostics } = await fromFile(new Parser(), path).parse();
  const findings = diagnostics
    .filter(({ severity }) => severity <= DiagnosticSeverity.Warning)
    .map(({ code, message, path: at }) => `@asyncapi/parser, ${code}: ${message} (${at.join(".")})`);
  /** @type {[type: string, payload: object][]} */
  const payloads = [];
  for (const message of document?.allMessages() ?? []) payloads.push([message.name() ?? "", payload(message)]);
  return { findings, payloads };
}

/**
 * The schema of a message as the document has it, without what the parser adds.
 *
 * @param {import("@asyncapi/parser").MessageInterface} message
 */
function payload(message) {
  /** @type {any} */
  const written = message.payload()?.json();
  const text = JSON.stringify(written.schema);
  return JSON.parse(text, (key, value) => (key.startsWith("x-parser-") ? undefined : value));
}
