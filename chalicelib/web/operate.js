/** What the views of those who operate share: their words, names of connections, choices, forms, lists that keep up. */

import { get } from "./api.js";
import { el, fill } from "./dom.js";
import en from "./operate_en.js";
import nl from "./operate_nl.js";
import { everything, poller } from "./parts.js";
import { becauseOf } from "./spoken.js";
import { add, text } from "./texts.js";

/** @typedef {import("./form.js").Field} Field */

add({ en, nl });

const PAGE = 50;
const MINUTE_MS = 60_000;
let made = 0;

/** The connections that the hub tells or writes through, by id. @returns {Promise<Map<string, any>>} */
export async function receivers() {
  const [{ body }, all] = await Promise.all([get("providers"), everything("connections", "connections")]);
  const known = new Map(body.providers.map((/** @type {any} */ each) => [each.slug, each]));
  const told = all.filter((each) => known.get(each.provider)?.kind !== "source");
  return new Map(told.map((each) => [each.id, { ...each, catalogue: known.get(each.provider) }]));
}

/** @param {Map<string, any>} connections @param {string} id */
export const connectionName = (connections, id) => connections.get(id)?.name || connections.get(id)?.provider || id;

/**
 * A choice above a list.
 * @param {string} label @param {[string, string][]} options value and what is shown @param {string} value
 * @param {(value: string) => void} change
 */
export function choice(label, options, value, change) {
  const select = /** @type {HTMLSelectElement} */ (el("select", { change: () => change(select.value) }, options.map(optionOf(value))));
  return el("label", {}, label, select);
}

/** @param {string} chosen */
const optionOf = (chosen) => (/** @type {[string, string]} */ [value, shown]) => el("option", { value, selected: value === chosen }, shown);

/** A moment in the viewer's zone. @param {string} label @param {string} [at] ISO @param {() => void} [change] */
export function momentChoice(label, at = "", change) {
  const input = /** @type {HTMLInputElement} */ (el("input", { type: "datetime-local", value: localOf(at), change }));
  return { place: el("label", {}, label, input), iso: () => isoOf(input.value) };
}

/** @param {string} at */
function localOf(at) {
  const moment = new Date(at);
  if (Number.isNaN(moment.getTime())) return "";
  return new Date(moment.getTime() - moment.getTimezoneOffset() * MINUTE_MS).toISOString().slice(0, 16);
}

/** @param {string} local */
export function isoOf(local) {
  const moment = new Date(local);
  return local === "" || Number.isNaN(moment.getTime()) ? "" : moment.toISOString();
}

export const daysAgo = (/** @type {number} */ days) => new Date(Date.now() - days * 1440 * MINUTE_MS).toISOString();

/** @param {any} list a List @param {number} seconds @returns {() => void} what ends it */
export function keptUp(list, seconds) {
  const poll = poller(async () => {
    const { body } = await list.page("");
    if (!shows(list, body[list.what.name])) await keepingFocus(list.place, () => (list.items.length > PAGE ? list.refresh() : list.reload()));
  }, seconds);
  return () => poll.stop();
}

/** Whether a list shows these rows first, and nothing that is gone. @param {any} list @param {any[]} rows */
function shows(list, rows) {
  const whole = list.items.length > PAGE || list.items.length === rows.length;
  return whole && JSON.stringify(rows) === JSON.stringify(list.items.slice(0, rows.length));
}

/** A row that is drawn anew keeps the keyboard where it was. @param {HTMLElement} place @param {() => Promise<void>} work */
async function keepingFocus(place, work) {
  const id = place.contains(document.activeElement) ? /** @type {HTMLElement | null} */ (document.activeElement?.closest("tr"))?.dataset.id : "";
  await work();
  const again = id ? /** @type {HTMLElement | null} */ (place.querySelector(`tr[data-id="${CSS.escape(id)}"] :is(a, button)`)) : null;
  again?.focus({ preventScroll: true });
}

/**
 * A field that is chosen from a list with names of its own.
 * @param {string} name @param {string} title @param {[string, string][]} options @param {string} value @param {string} [help]
 * @returns {Field}
 */
export function selectField(name, title, options, value, help = "") {
  const select = /** @type {HTMLSelectElement} */ (el("select", {}, options.map(optionOf(value))));
  return labelled(name, title, help, select, () => select.value);
}

/** @param {string} name @param {string} title @param {string} value @param {string} [help] @param {number} [rows] @returns {Field} */
export function linesField(name, title, value, help = "", rows = 3) {
  const area = /** @type {HTMLTextAreaElement} */ (el("textarea", { rows, autocomplete: "off" }));
  area.value = value;
  return labelled(name, title, help, area, () => area.value);
}

/** @param {string} name @param {string} title @param {string} help @param {HTMLElement} input @param {() => unknown} value @returns {Field} */
function labelled(name, title, help, input, value) {
  const id = `choice-${++made}`;
  const wrong = el("p", { class: "wrong", id: `${id}-wrong` });
  for (const [key, said] of Object.entries({ id, name, "aria-describedby": `${id}-help ${id}-wrong` })) input.setAttribute(key, said);
  const place = el("div", { class: "field", "data-name": name }, el("label", { for: id }, title), input, el("p", { class: "help", id: `${id}-help` }, help), wrong);
  const mark = (/** @type {string} */ detail) => {
    wrong.textContent = detail;
    input.setAttribute("aria-invalid", String(detail !== ""));
  };
  return { name, place, value, mark };
}

/** @param {string} name @param {string} title @param {string} at ISO @returns {Field} */
export function momentField(name, title, at) {
  const input = /** @type {HTMLInputElement} */ (el("input", { type: "datetime-local", value: localOf(at) }));
  return labelled(name, title, "", input, () => input.value);
}

/** Boxes to tick. @param {string} title @param {[string, string, string][]} options value, name and what it means @param {string[]} on */
export function ticks(title, options, on) {
  const boxes = options.map(([value, shown, about]) => {
    const id = `tick-${++made}`;
    const box = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox", id, value, checked: on.includes(value), "aria-describedby": `${id}-help` }));
    return { box, place: el("div", { class: "field boolean" }, box, el("label", { for: id }, shown), el("p", { class: "help", id: `${id}-help` }, about)) };
  });
  const chosen = () => boxes.filter(({ box }) => box.checked).map(({ box }) => box.value);
  return { place: el("fieldset", { class: "ticks" }, el("legend", {}, title), boxes.map(({ place }) => place)), chosen };
}

/**
 * Marks what the hub finds wrong at its field. Answers what belongs to none of them.
 * @param {Field[]} fields @param {{pointer: string, detail: string}[]} errors
 */
export function marked(fields, errors) {
  let ours = 0;
  for (const each of fields) {
    const found = errors.filter(({ pointer }) => pointer === `/${each.name}` || pointer.startsWith(`/${each.name}/`));
    each.mark(becauseOf(found.map(({ detail }) => detail)));
    ours += found.length;
  }
  return ours;
}

/** @param {number | null} seconds */
export function late(seconds) {
  if (seconds === null) return text("seconds.unknown");
  if (seconds < 120) return text("seconds", { n: seconds });
  return seconds < 7200 ? text("minutes", { n: Math.round(seconds / 60) }) : text("hours", { n: Math.round(seconds / 3600) });
}

/** A stack of parts that is drawn anew only when what it shows changed. @param {HTMLElement} place */
export function onChange(place) {
  let last = "";
  return (/** @type {unknown} */ what, /** @type {() => import("./dom.js").Child[]} */ draw) => {
    const now = JSON.stringify(what);
    if (now === last) return;
    last = now;
    fill(place, draw());
  };
}
