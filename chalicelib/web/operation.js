/** One route of the contract: what it takes, what it answers, and an example of both. */

import { curl } from "./curl.js";
import { el } from "./dom.js";
import { fields, follow, kindOf } from "./schema.js";
import { text } from "./texts.js";

/**
 * @typedef {{id: string, method: string, path: string, tag: string, summary: string, description: string,
 *   scopes: string[] | null, parameters: any[], body: any, answers: Record<string, any>, words: string}} Operation
 * `scopes`: null where no key is needed; `words`: what a search looks through
 */

const JSON_TYPE = "application/json";

/** @param {any} contract @returns {Operation[]} */
export function operations(contract) {
  return Object.entries(contract.paths).flatMap(([path, item]) => {
    const { parameters: shared = [], ...methods } = item;
    return Object.entries(methods).map(([method, told]) => operation(method.toUpperCase(), path, told, shared));
  });
}

/** @param {string} method @param {string} path @param {any} told @param {any[]} shared @returns {Operation} */
function operation(method, path, told, shared) {
  const tag = told.tags[0];
  return {
    id: told.operationId,
    method,
    path,
    tag,
    summary: told.summary,
    description: told.description ?? "",
    scopes: told.security.length ? told.security[0].key : null,
    parameters: [...shared, ...(told.parameters ?? [])],
    body: told.requestBody,
    answers: told.responses,
    words: `${method} ${path} ${told.summary} ${tag} ${told.operationId}`.toLowerCase(),
  };
}

/** @param {Operation} told @param {any} contract @param {boolean} open */
export function shown(told, contract, open) {
  const place = el("div", { class: "inside" });
  const whole = el(
    "details",
    { id: told.id, class: "route", open },
    el(
      "summary",
      {},
      el("span", { class: `method ${told.method.toLowerCase()}` }, told.method),
      el("code", { class: "path" }, told.path),
      el("span", { class: "says" }, told.summary),
    ),
    place,
  );
  // Built when it is first opened: all of them at once are a long page.
  const build = () => whole.hasAttribute("open") && !place.hasChildNodes() && place.append(...inside(told, contract));
  whole.addEventListener("toggle", build);
  build();
  return whole;
}

/** @param {Operation} told @param {any} contract */
function inside(told, contract) {
  return [
    el("p", { class: "badges" }, scope(told)),
    ...told.description.split("\n\n").filter(Boolean).map((part) => el("p", {}, part.replaceAll("`", ""))),
    table(text("docs.parameters"), told.parameters.map(parameter)),
    body(told, contract),
    answers(told, contract),
    example(told, contract),
  ].filter((each) => each !== null);
}

/** @param {Operation} told */
function scope(told) {
  if (told.scopes === null) return el("span", { class: "tag good" }, text("docs.open"));
  return el("span", { class: "tag sure" }, told.scopes.length ? `${text("docs.scope")}: ${told.scopes.join(", ")}` : text("docs.any_scope"));
}

/** @param {any} each */
function parameter(each) {
  const where = each.in === "path" ? text("docs.in_path") : "";
  return { name: each.name, kind: [kindOf(each.schema), where].filter(Boolean).join(" · "), required: each.required, says: each.description ?? "" };
}

/** @param {Operation} told @param {any} contract */
function body(told, contract) {
  const schema = told.body?.content[JSON_TYPE]?.schema;
  if (!schema) return null;
  const either = (schema.anyOf ?? [schema]).map((/** @type {any} */ each) => follow(each, contract));
  return el("div", {}, either.map((/** @type {any} */ each) => table(text("docs.body"), fields(each, contract))));
}

/** @param {Operation} told @param {any} contract */
function answers(told, contract) {
  const lines = Object.entries(told.answers).map(([status, each]) => [status, "$ref" in each ? follow(each, contract) : each, "$ref" in each]);
  const good = lines.filter(([, , refused]) => !refused);
  const refusals = lines.filter(([, , refused]) => refused);
  return el(
    "div",
    {},
    good.map(([status, each]) => answer(status, each, contract)),
    el("h3", {}, text("docs.refusals")),
    el("ul", { class: "refusals" }, refusals.map(([status, each]) => el("li", {}, el("code", {}, status), ` ${each.description}`))),
  );
}

/** @param {string} status @param {any} told @param {any} contract */
function answer(status, told, contract) {
  const schema = told.content?.[JSON_TYPE]?.schema;
  const either = schema ? (schema.anyOf ?? [schema]).map((/** @type {any} */ each) => follow(each, contract)) : [];
  const tables = either.flatMap((/** @type {any} */ each) => fields(each, contract).length ? [table(`${text("docs.answer")} ${status}`, fields(each, contract))] : []);
  return tables.length ? el("div", {}, tables) : el("p", {}, el("code", {}, status), ` ${told.description}`);
}

/** @param {string} title @param {import("./schema.js").Field[]} lines */
function table(title, lines) {
  if (!lines.length) return null;
  return el("div", { class: "fields" }, el("h3", {}, title), el("dl", {}, lines.map(field)));
}

/** @param {import("./schema.js").Field} each */
function field(each) {
  const needed = each.required ? el("span", { class: "needed" }, text("docs.required")) : null;
  return el("div", {}, el("dt", {}, el("code", {}, each.name)), el("dd", {}, el("span", { class: "soft" }, each.kind, needed ? " · " : "", needed), each.says ? el("p", {}, each.says) : null));
}

/** @param {Operation} told @param {any} contract */
function example(told, contract) {
  const answered = Object.values(told.answers).map((each) => Object.values(each.content ?? {})[0]).find((each) => each?.example !== undefined);
  if (!answered) return null;
  const request = curl(told, contract.servers[0].url);
  return el(
    "div",
    { class: "example" },
    el("h3", {}, text("docs.example")),
    code(request, text("docs.example_request")),
    el("p", { class: "soft" }, text("docs.example_answer")),
    code(typeof answered.example === "string" ? answered.example : JSON.stringify(answered.example, null, 2), text("docs.example_answer")),
  );
}

/** Scrolls by keyboard too. @param {string} what @param {string} about */
const code = (what, about) => el("pre", { tabindex: 0, role: "group", "aria-label": about }, el("code", {}, what));
