/** Form fields made from the JSON Schemas that the API gives, and what they hold. */

import { button } from "./parts.js";
import { el, fill, icon } from "./dom.js";
import { becauseOf } from "./spoken.js";
import { text } from "./texts.js";

/**
 * @typedef {import("./dom.js").Child} Child
 * @typedef {Record<string, any>} Property as JSON Schema says it; `lang` where its title and description are not in the page's
 * @typedef {{properties: Record<string, Property>, required?: string[]}} Schema
 * @typedef {{name: string, place: HTMLElement, value: () => unknown, mark: (said: Child | Child[]) => void}} Field `value` is
 *   undefined when nothing was filled in; `mark` says what is wrong, or with nothing that nothing is
 */

/** What cannot be sent, because it is not what its field is for. */
export class NotFilledIn extends Error {}

let made = 0;

/** A PEM key has lines, which a password field would drop: it gets a field of lines, with dots as well. */
const LINES = /\bPEM\b/;

/** Fields of a schema, under the pointer where they are sent: `/settings`. */
export class Fields {
  /** @param {string} pointer @param {Schema} schema @param {Record<string, any>} [values] what they hold now */
  constructor(pointer, schema, values = {}) {
    this.pointer = pointer;
    this.required = schema.required ?? [];
    /** @type {Field[]} */
    this.all = Object.entries(schema.properties).map(([name, each]) => fieldOf(name, each, this.required.includes(name), values[name]));
  }

  /** The fields that `wanted` says yes to, as elements. @param {(name: string) => boolean} [wanted] */
  places(wanted = () => true) {
    return this.all.filter((each) => wanted(each.name)).map((each) => each.place);
  }

  /** What was filled in, empty fields left out. Throws NotFilledIn. */
  values() {
    const found = this.all.map((each) => [each.name, each.value()]);
    return Object.fromEntries(found.filter(([, value]) => value !== undefined));
  }

  /** Marks each field that the hub finds wrong, and no other. @param {{pointer: string, detail: string}[]} errors */
  mark(errors) {
    for (const each of this.all) {
      const pointer = `${this.pointer}/${each.name}`;
      const found = errors.filter((error) => error.pointer === pointer || error.pointer.startsWith(`${pointer}/`));
      each.mark(becauseOf(found.map((error) => error.detail)));
    }
  }
}

/** One text field, by the same look. @param {string} name @param {string} title @param {unknown} [value] @param {{required?: boolean, help?: string}} [more] */
export function textField(name, title, value, { required = false, help = "" } = {}) {
  return fieldOf(name, { type: "string", title, description: help }, required, value);
}

/** @param {string} name @param {Property} property @param {boolean} required @param {unknown} value @returns {Field} */
function fieldOf(name, property, required, value) {
  const id = `field-${++made}`;
  const secret = Boolean(property.writeOnly);
  const plain = { ...property, ...property.oneOf?.[0] };
  const input = inputOf(plain, secret, value);
  const wrong = el("p", { class: "wrong", id: `${id}-wrong` });
  const help = helpOf(property);
  for (const [key, said] of Object.entries({ id, name, "aria-describedby": `${id}-help ${id}-wrong`, spellcheck: "false" })) input.setAttribute(key, said);
  if (required && plain.type !== "boolean") input.setAttribute("aria-required", "true");
  const label = el("label", { for: id }, titled(property, name), required && el("span", { class: "needed" }, text("field.required")));
  const place = el("div", { class: `field ${plain.type}`, "data-name": name }, label, secret ? veiled(input, property.title ?? name) : input, el("p", { class: "help", id: `${id}-help` }, help), wrong);
  const mark = (/** @type {Child | Child[]} */ said) => {
    fill(wrong, said);
    input.setAttribute("aria-invalid", String(wrong.textContent !== ""));
  };
  return { name, place, mark, value: () => valueOf(plain, input, mark) };
}

/** @param {Property} property @param {string} name @returns {Child} */
const titled = (property, name) => (property.lang ? el("span", { lang: property.lang }, property.title ?? name) : property.title ?? name);

/** @param {Property} property @returns {Child[]} */
function helpOf(property) {
  const usual = property.default === undefined ? "" : text("field.usual", { value: usualOf(property.default) });
  const many = property.type === "array" && !property.items?.enum ? text("field.many") : "";
  const about = property.lang && property.description ? el("span", { lang: property.lang }, property.description) : property.description;
  return [about, many, usual].filter(Boolean).flatMap((each, at) => [at > 0 && " · ", each]);
}

/** @param {unknown} value */
const usualOf = (value) => (typeof value === "boolean" ? text(value ? "field.on" : "field.off") : String(value));

/** @typedef {HTMLInputElement & HTMLTextAreaElement & HTMLSelectElement} Input */

/** @param {Property} property @param {boolean} secret @param {unknown} value @returns {Input} */
function inputOf(property, secret, value) {
  const made = /** @type {Input} */ (bareInput(property, secret));
  if (property.type === "boolean") made.checked = Boolean(value ?? property.default);
  else if (property.type === "object") made.value = value === undefined ? "" : JSON.stringify(value, null, 2);
  else if (property.type === "array") made.value = Array.isArray(value) ? value.join("\n") : "";
  else made.value = value === undefined || value === null ? "" : String(value);
  return made;
}

/** @param {Property} property @param {boolean} secret */
function bareInput(property, secret) {
  if (property.enum) return el("select", {}, el("option", { value: "" }, "–"), property.enum.map((/** @type {string} */ each) => el("option", { value: each }, each)));
  if (secret) return el(LINES.test(property.description ?? "") ? "textarea" : "input", { class: "secret", type: "password", rows: 1, autocomplete: "off", autocapitalize: "none" });
  if (property.type === "boolean") return el("input", { type: "checkbox" });
  if (property.type === "integer" || property.type === "number") return el("input", { type: "text", inputmode: "decimal", autocomplete: "off" });
  if (property.type === "object" || property.type === "array") return el("textarea", { rows: 3, autocomplete: "off" });
  return el("input", { type: "text", autocomplete: "off", autocapitalize: "none" });
}

/** A secret is shown as dots until its writer wants to see it. @param {Input} input @param {string} title */
function veiled(input, title) {
  const show = button("", () => {
    const open = input.classList.toggle("open");
    if (input.tagName === "INPUT") input.type = open ? "text" : "password";
    show.setAttribute("aria-pressed", String(open));
  });
  fill(show, icon("eye"), text("field.show"));
  show.setAttribute("aria-label", text("field.show.what", { what: title }));
  show.setAttribute("aria-pressed", "false");
  return el("div", { class: "veiled" }, input, show);
}

/** @param {Property} property @param {Input} input @param {Field["mark"]} mark */
function valueOf(property, input, mark) {
  if (property.type === "boolean") return input.checked === Boolean(property.default) ? undefined : input.checked;
  const typed = property.type === "string" && !input.classList.contains("secret") ? input.value : input.value.trim();
  if (typed.trim() === "") return undefined;
  if (property.type === "integer" || property.type === "number") return Number.isNaN(Number(typed)) ? typed : Number(typed);
  if (property.type === "array") return typed.split("\n").map((each) => each.trim()).filter(Boolean);
  return property.type === "object" ? parsed(typed, mark) : typed;
}

/** @param {string} typed @param {Field["mark"]} mark */
function parsed(typed, mark) {
  try {
    return JSON.parse(typed);
  } catch {
    mark(text("field.not_json"));
    throw new NotFilledIn(typed);
  }
}
