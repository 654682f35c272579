/** What an agent must know before the customer says hello. */

import { el, icon } from "./dom.js";
import { ago, moment } from "./format.js";
import { text, word } from "./texts.js";

/** @typedef {import("./history.js").Entry} Entry */

const SAID = ["message", "email", "fax"];
const NUMBER = /^\s*\d{1,3}([.,]\d)?\s*$/;
const WEEK = 7 * 86_400_000;

/** Whether it only brought a handover token, or rates what a survey asked. @param {Entry} entry @param {Entry[]} entries */
function asksNothing(entry, entries) {
  if (entry.refs.some((/** @type {string} */ ref) => ref.startsWith("token:"))) return true;
  const at = Date.parse(entry.occurred_at);
  const asked = (/** @type {Entry} */ each) =>
    each.type === "satisfaction" && each.direction === "out" && each.address === entry.address &&
    Date.parse(each.occurred_at) < at && at - Date.parse(each.occurred_at) <= WEEK;
  return NUMBER.test(entry.text) && entries.some(asked);
}

/** The customer's newest words that nobody answered, in writing or by phone. @param {Entry[]} entries newest first */
export function unanswered(entries) {
  for (const entry of entries) {
    if (entry.type === "call" || (entry.direction === "out" && entry.actor !== "system")) return null;
    const said = SAID.includes(entry.type) && entry.direction === "in" && entry.actor === "customer" && entry.text.trim();
    if (said && !asksNothing(entry, entries)) return entry;
  }
  return null;
}

/** @param {Entry[]} entries newest first */
export const lastContact = (entries) => entries.find((each) => each.actor === "customer" && each.direction === "in") ?? null;

/** @param {any} customer @param {Entry[]} entries @returns {HTMLElement[]} */
export function facts(customer, entries) {
  const last = lastContact(entries);
  const open = unanswered(entries);
  return [
    fact(text("last"), last ? [icon(last.channel), `${word("channel", last.channel)}, `, when(last)] : text("last.none")),
    fact(text("unanswered"), open ? question(open) : [icon("ok"), text("answer.none")], open ? "open" : ""),
    ...preferred(customer),
    ...satisfied(customer),
  ];
}

/** @param {string} name @param {(Node | string)[] | string} value @param {string} [mark] */
function fact(name, value, mark = "") {
  return el("div", { class: `fact ${mark}` }, el("dt", {}, name), el("dd", {}, value));
}

/** @param {Entry} entry */
function when(entry) {
  return el("time", { datetime: entry.occurred_at, title: moment(entry.occurred_at) }, ago(entry.occurred_at));
}

/** @param {Entry} entry */
function question(entry) {
  const said = entry.sensitive ? word("type", entry.type) : entry.text;
  return [el("q", { dir: "auto" }, said), el("span", { class: "soft" }, icon(entry.channel), word("channel", entry.channel), ", ", when(entry))];
}

/** @param {any} customer */
function preferred(customer) {
  const channel = customer.preferred_channel;
  return channel ? [fact(text("preferred"), [icon(channel), word("channel", channel)])] : [];
}

/** @param {any} customer */
function satisfied(customer) {
  const scores = Object.entries(customer.satisfaction ?? {});
  const shown = scores.map(([channel, found]) => `${word("channel", channel)} ${found.score}`).join(", ");
  return shown ? [fact(text("satisfaction"), shown)] : [];
}
