// `node questions.mjs URL KEY DEVICE DEPLOYMENT`: asks the API each of its questions once, by a client that knows it
// from schemas/openapi.yaml alone. Prints the status and the body of each answer, by path.
//
// `make lint` checks this file with the types that openapi-typescript makes of the document: a path that is missing
// here, a parameter that does not exist, or a property that no answer has stops it.
import { argv, stdout } from "node:process";

import createClient from "openapi-fetch";

/** @typedef {import("../../schemas/openapi").paths} paths */

const [, , baseUrl, key, deviceId, deploymentId] = argv;
/** @type {import("openapi-fetch").Client<paths, `application/${string}`>} */
const client = createClient({ baseUrl, headers: { "x-functions-key": key } });
const { data: causes } = await client.GET("/causes");
const causeId = causes?.items[0].causeId ?? "";
const device = { params: { path: { deviceId } } };

/** @satisfies {Record<keyof paths, () => Promise<{data?: object | string, error?: unknown, response: Response}>>} */
const questions = {
  "/devices": () => client.GET("/devices", { params: { query: { state: "module_failed", stuck: "true", limit: 1 } } }),
  "/devices/{deviceId}": () => client.GET("/devices/{deviceId}", device),
  "/devices/{deviceId}/transitions": () => client.GET("/devices/{deviceId}/transitions", device),
  "/modules": () => client.GET("/modules", { params: { query: { stuck: "true" } } }),
  "/causes": () => client.GET("/causes", { params: { query: { deployment: deploymentId } } }),
  "/causes/{causeId}/devices": () => client.GET("/causes/{causeId}/devices", { params: { path: { causeId } } }),
  "/images": () => client.GET("/images"),
  "/agents": () => client.GET("/agents"),
  "/deployments": () => client.GET("/deployments"),
  "/deployments/{deploymentId}": () =>
    client.GET("/deployments/{deploymentId}", { params: { path: { deploymentId } } }),
  "/deployments/{deploymentId}/progress": () =>
    client.GET("/deployments/{deploymentId}/progress", { params: { path: { deploymentId } } }),
  "/deployments/{deploymentId}/disagreements": () =>
    client.GET("/deployments/{deploymentId}/disagreements", { params: { path: { deploymentId } } }),
  "/metrics": () => client.GET("/metrics", { parseAs: "text" }),
  "/health": () => client.GET("/health"),
  "/health/details": () => client.GET("/health/details"),
};

/** @type {Record<string, {status: number, body: unknown}>} */
const answers = {};
for (const [path, ask] of Object.entries(questions)) {
  const { data, error, response } = await ask();
  answers[path] = { status: response.status, body: data ?? error };
}

// What a program does with an answer: by the types, each of these properties is there.
const { data: stuck } = await questions["/modules"]();
const { error: refused } = await client.GET("/devices", { params: { query: { limit: 0 } } });
const modules = stuck?.items.map(({ module, state, reason }) => `${module} ${state} ${reason}`);
stdout.write(JSON.stringify({ answers, modules, refused: refused?.detail }));
