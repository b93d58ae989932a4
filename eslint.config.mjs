// Every rule of ESLint is on, but for those named here.
import js from "@eslint/js";
import globals from "globals";

const RULES = {
  "camelcase": ["error", { properties: "never" }], // keys are words of the API
  "capitalized-comments": "off", // one beside a line begins in the middle of a thought
  "curly": ["error", "multi-line"],
  "func-style": ["error", "declaration", { allowArrowFunctions: true }],
  "id-length": ["error", { exceptions: ["_", "a", "b", "d", "x"] }], // d and x are attributes of SVG
  "init-declarations": "off", // what a try block sets has no value before it
  "max-lines-per-function": ["error", 80],
  "max-params": ["error", 5],
  "max-statements": ["error", 20],
  "new-cap": ["error", { capIsNewExceptions: ["GET"] }], // methods of openapi-fetch
  "no-await-in-loop": "off", // each page of a list is asked for with the token of the one before
  "no-continue": "off", // shorter than a nested block
  "no-empty-function": ["error", { allow: ["methods"] }],
  "no-inline-comments": "off", // units and reasons belong beside their value
  "no-magic-numbers": "off", // 0, 1 and 1000 need no name
  "no-nested-ternary": "off", // one of three texts, each with its condition
  "no-plusplus": "off",
  "no-ternary": "off",
  "no-undefined": "off", // leaves out a key of JSON
  "no-unused-vars": ["error", { ignoreRestSiblings: true }],
  "no-use-before-define": ["error", { functions: false, variables: false }], // what matters comes first in a file
  "one-var": "off",
  "prefer-named-capture-group": "off", // patterns here have one or two groups
  "prefer-destructuring": ["error", { VariableDeclarator: { array: true, object: true } }],
  "sort-imports": "off", // they are in the order of their files
  "sort-keys": "off", // the order of a person: what matters first
  "sort-vars": "off", // as above
};

export default [
  { ignores: [".venv/", ".local/", "node_modules/", "schemas/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.all,
  { rules: RULES },
  { files: ["**/*.mjs"], languageOptions: { globals: globals.node } },
  { files: ["status_app/http/fleet_page/*.js"], languageOptions: { globals: globals.browser } },
  {
    files: ["checks/infra/kql.js"],
    languageOptions: { sourceType: "commonjs", globals: { ...globals.node, Kusto: "readonly" } },
    rules: { "new-cap": "off" }, // its names are those of C#
  },
];
