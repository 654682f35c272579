/** What an agent must know before the customer says hello. */

import { el, icon } from "./dom.js";
import { ago, moment } from "./format.js";
import { text, word } from "./texts.js";

/** @typedef {import("./history.js").Entry} Entry */

/** States of a call in which nobody spoke with anybody. A call without a state counts as one that was answered. */
const IN_VAIN = ["no-answer", "busy", "failed", "canceled", "voicemail"];

/** @typedef {{event: string, at: string, type: string, channel: string, text: string, sensitive: boolean}} Question */

/**
 * What he asked and nobody answered where he asked it, nor talked over with him by phone since. Newest first: the one
 * the glance shows and the conversations that are marked come from here, so they cannot contradict each other.
 * @param {any} customer @param {Entry[]} entries newest first @returns {Question[]}
 */
export function unanswered(customer, entries) {
  const spoken = entries.find((each) => each.type === "call" && !IN_VAIN.includes(each.details?.status))?.occurred_at ?? "";
  const asked = [customer, ...customer.conversations].flatMap((/** @type {any} */ each) => each.open_question ?? []);
  return asked.filter((each) => each.at > spoken).sort((a, b) => (a.at < b.at ? 1 : -1));
}

/** @param {Entry[]} entries newest first */
export const lastContact = (entries) => entries.find((each) => each.actor === "customer" && each.direction === "in") ?? null;

/** @param {any} customer @param {Entry[]} entries newest first @param {Question[]} asked newest first @returns {HTMLElement[]} */
export function facts(customer, entries, [open]) {
  const last = lastContact(entries);
  return [
    fact(text("last"), last ? [icon(last.channel), `${word("channel", last.channel)}, `, when(last.occurred_at)] : text("last.none")),
    fact(text("unanswered"), open ? question(open) : [icon("ok"), text("answer.none")], open ? "open" : ""),
    ...preferred(customer),
    ...satisfied(customer),
  ];
}

/** @param {string} name @param {(Node | string)[] | string} value @param {string} [mark] */
function fact(name, value, mark = "") {
  return el("div", { class: `fact ${mark}` }, el("dt", {}, name), el("dd", {}, value));
}

/** @param {string} at */
function when(at) {
  return el("time", { datetime: at, title: moment(at) }, ago(at));
}

/** @param {Question} asked */
function question({ sensitive, type, text: said, channel, at }) {
  const shown = sensitive ? word("type", type) : said;
  return [el("q", { dir: "auto" }, shown), el("span", { class: "soft" }, icon(channel), word("channel", channel), ", ", when(at))];
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
