/** Who this is, and what other systems know: the head of the page and the panels beside the timeline. */

import { el, icon } from "./dom.js";
import { ago, moment } from "./format.js";
import { OF_KIND } from "./icons.js";
import { readsOnly } from "./session.js";
import { count, text, word } from "./texts.js";

const MOST_TALKS = 8;

/** @param {any} customer */
export const nameOf = (customer) => customer.name ?? (customer.anonymous ? text("anonymous") : best(customer) ?? text("no_name"));

/** @param {any} customer */
const best = (customer) => customer.identities.find((/** @type {any} */ each) => ["email", "phone"].includes(each.kind))?.value;

/** @param {any} customer */
export function badges(customer) {
  const { verified } = customer;
  return [
    customer.anonymous
      ? el("span", { class: "tag warn", title: text("anonymous.meaning") }, icon("question"), text("anonymous"))
      : el("span", { class: "tag good" }, icon("ok"), text("known")),
    el("span", { class: verified ? "tag good" : "tag" }, icon(verified ? "ok" : "dot"), text(verified ? "verified" : "verified.not")),
    customer.conflicts.length ? el("span", { class: "tag bad" }, icon("parked"), text("conflicts")) : null,
  ];
}

/**
 * @param {any} customer @param {any} sync @param {import("./tools.js").Tools} tools
 * @param {{name: (conversation: string) => string, choose: (conversation: string) => void}} threads
 * @param {{event: string}[]} asked what nobody answered
 */
export function panels(customer, sync, tools, threads, asked) {
  const open = new Set(asked.map((each) => each.event));
  const talks = customer.conversations.slice(0, MOST_TALKS);
  return [
    customer.anonymous ? el("p", { class: "hint" }, text("anonymous.meaning")) : null,
    panel("conflicts", text("conflicts"), customer.conflicts.map((/** @type {any} */ each) => conflict(each, tools)), text("conflicts.meaning"), "bad"),
    panel("candidates", text("candidates"), customer.candidates.map((/** @type {any} */ each) => candidate(each, tools)), text("candidates.meaning"), "warn"),
    panel("conversations", text("conversations"), talks.map((/** @type {any} */ each) => talk(each, tools, threads, open.has(each.open_question?.event))), ""),
    sync ? systems(sync.destinations) : el("p", { class: "hint" }, text("sync.unknown")),
    panel("identities", text("identities"), [...customer.identities].sort(surestFirst).map((each) => identity(each, tools)), text("identities.meaning")),
    tools.may("agent") ? panel("decisions", text("decisions"), customer.decisions.map((/** @type {any} */ each) => decision(each, tools)), text("decisions.meaning")) : null,
  ];
}

/** One conversation, over whatever channels it went. @param {any} each @param {import("./tools.js").Tools} tools @param {any} threads @param {boolean} open */
function talk(each, tools, threads, open) {
  const over = [each.switches[0]?.from ?? each.channel, ...each.switches.map((/** @type {any} */ moved) => moved.to)];
  const way = over.flatMap((channel, at) => [at ? el("span", { class: "soft", "aria-hidden": "true" }, "→") : null, icon(channel)]);
  const said = el("span", { class: "unseen" }, over.map((channel) => word("channel", channel)).join(", "));
  const attributes = { type: "button", class: "quiet", "data-focus": `talk.${each.id}`, title: text("conversation.only") };
  return el(
    "li",
    { class: "talk" },
    el("p", { class: "over" }, way, said, el("span", { class: "soft" }, ago(each.last_at))),
    el("p", {}, el("button", { ...attributes, click: () => threads.choose(each.id) }, threads.name(each.id)), open ? el("span", { class: "tag warn" }, text("unanswered")) : null),
    tools.handover(each),
  );
}

/**
 * @param {string} name @param {string} title @param {HTMLElement[]} lines @param {string} meaning @param {string} [kind]
 * @param {HTMLElement | null} [mark] what can be seen while it is closed
 */
function panel(name, title, lines, meaning, kind = "", mark = null) {
  if (!lines.length) return null;
  const head = el("summary", {}, el("h2", {}, title), el("span", { class: "n" }, String(lines.length)), mark);
  return el("details", { class: `panel ${kind}`, "data-panel": name }, head, el("ul", {}, lines), el("p", { class: "soft" }, meaning));
}

/** @param {any} one @param {any} other */
const surestFirst = (one, other) => other.assurance.localeCompare(one.assurance) || one.identity.localeCompare(other.identity);

/** @param {any} each @param {import("./tools.js").Tools} tools */
function identity(each, tools) {
  const known = each.assurance === "A3" ? "good" : each.assurance === "A2" ? "sure" : "";
  const seen = each.last_seen ? `${each.identity} · ${moment(each.last_seen)}` : each.identity;
  return el(
    "li",
    { class: "identity", title: seen },
    icon(OF_KIND[each.kind] ?? each.kind),
    el("span", { class: "value" }, el("span", { class: "soft" }, word("kind", each.kind)), el("bdi", {}, each.value)),
    el("span", { class: `tag ${known}` }, word("assurance", each.assurance)),
    tools.part(each.identity),
  );
}

/** @param {any} each @param {import("./tools.js").Tools} tools */
function conflict(each, tools) {
  const [a, b] = each.identities;
  const ends = each.identities.map((/** @type {string} */ told) => el("p", {}, el("bdi", {}, told)));
  return el("li", {}, el("p", {}, word("conflict", each.kind)), ends, tools.pair(a, b));
}

/** @param {any} each @param {import("./tools.js").Tools} tools */
function candidate(each, tools) {
  const page = each.customer && !readsOnly() ? el("a", { href: encodeURIComponent(each.customer) }, text("candidates.open")) : null;
  const said = el("p", { class: "soft" }, word("candidate", each.reason), " ", ago(each.at));
  return el("li", {}, el("p", {}, el("bdi", {}, each.identity ?? "–")), said, page, tools.pair(each.identity, each.beside));
}

/** @param {any} each @param {import("./tools.js").Tools} tools */
function decision(each, tools) {
  const ends = each.identities.map((/** @type {string} */ told) => el("p", {}, el("bdi", {}, told)));
  return el("li", {}, el("p", {}, word("decision", each.kind), " ", el("span", { class: "soft" }, ago(each.at))), ends, tools.undo(each));
}

/** @param {any[]} destinations */
function systems(destinations) {
  if (!destinations.length) return el("p", { class: "soft" }, text("sync.none"));
  const sorted = [...destinations].sort((one, other) => order(one).localeCompare(order(other)));
  const [{ state }] = sorted;
  return panel("sync", text("sync"), sorted.map(system), "", state === "parked" ? "bad" : "", tag(state));
}

/** What needs somebody first. @param {any} each */
const order = (each) => `${["parked", "behind", "in step"].indexOf(each.state)} ${each.name}`;

/** @type {Record<string, [string, string]>} */
const MARKS = { "in step": ["ok", "good"], behind: ["slow", "warn"], parked: ["parked", "bad"] };

/** @param {any} each */
function system(each) {
  return el(
    "li",
    { class: "system" },
    el("p", {}, el("bdi", { class: "strong" }, each.name || each.provider), tag(each.state)),
    el("p", { class: "soft" }, progress(each)),
    reasons([...each.parked, ...each.behind]).slice(0, 5).map((said) => el("p", { class: "reason", dir: "auto" }, said)),
    each.parked.length ? el("p", { class: "soft" }, text("sync.parked.meaning")) : null,
    contact(each),
  );
}

/** @param {string} state */
function tag(state) {
  const [drawn, kind] = MARKS[state] ?? ["dot", ""];
  return el("span", { class: `tag ${kind}` }, icon(drawn), word("state", state));
}

/** @param {any} each */
function progress(each) {
  const parts = [count("sync.told", each.delivered)];
  if (each.behind.length) parts.push(count("sync.behind", each.behind.length));
  if (each.parked.length) parts.push(count("sync.parked", each.parked.length));
  return parts.join(", ");
}

/** Why something is late, each reason once with the types it is about. Most reasons are the other system's own words. @param {any[]} late */
function reasons(late) {
  /** @type {Map<string, {why: string, due: string, types: Set<string>}>} */
  const found = new Map();
  for (const { reason, due_at, type } of late) {
    const due = due_at ? text("sync.due", { time: ago(due_at) }) : "";
    const same = found.get(`${reason} ${due}`) ?? { why: reason, due, types: new Set() };
    same.types.add(word("type", type));
    if (reason || due) found.set(`${reason} ${due}`, same);
  }
  return [...found.values()].map(({ why, due, types }) => [[...types].join(", "), why && el("span", { lang: "en" }, ` · ${why}`), due && ` · ${due}`]);
}

/** @param {any} each */
function contact(each) {
  if (!each.contact) return null;
  return el("p", { class: "soft" }, `${text("contact")} `, el("bdi", {}, each.contact));
}
