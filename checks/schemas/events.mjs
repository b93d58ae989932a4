// The schemas of events, as Ajv compiles them in its strict mode, and events, as Ajv and cloudevents read them.
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { HTTP } from "cloudevents";

/**
 * @typedef {import("ajv").ValidateFunction} Validate
 * @typedef {Map<string, Validate>} Validators
 */

/**
 * A validator for one schema. No other schema is known to it: each stands alone.
 *
 * @param {object} schema
 * @returns {Validate}
 * @throws {Error} The schema is none, or not a strict one.
 */
export function compiled(schema) {
  const ajv = new Ajv2020({ strict: true, allErrors: true });
  formats.default(ajv);
  return ajv.compile(schema);
}

/**
 * What is wrong with an event. cloudevents reads it as a subscriber would; Ajv compares it with the message of its
 * type, and its data with the schema that it names.
 *
 * @param {string} text
 * @param {Validators} messages by type
 * @param {Validators} schemas by `$id`
 * @returns {string[]}
 */
export function eventFindings(text, messages, schemas) {
  const headers = { "content-type": "application/cloudevents+json" };
  /** @type {import("cloudevents").CloudEvent<unknown>} */
  let event;
  try {
    event = /** @type {typeof event} */ (HTTP.toEvent({ headers, body: text }));
    event.validate();
  } catch (error) {
    return [`cloudevents: ${String(error).replaceAll(/\s+/gu, " ")}`];
  }
  const { type, dataschema = "", data } = event;
  return [
    ...differences(messages.get(type), JSON.parse(text), `message "${type}"`),
    ...differences(schemas.get(dataschema), data, `schema "${dataschema}"`),
  ];
}

/**
 * @param {Validate | undefined} validate
 * @param {unknown} value
 * @param {string} name
 */
function differences(validate, value, name) {
  if (!validate) return [`no ${name} is known`];
  if (validate(value)) return [];
  const errors = validate.errors ?? [];
  return errors.map(({ instancePath, message }) => `Ajv: ${instancePath} ${message}, says the ${name}`);
}
