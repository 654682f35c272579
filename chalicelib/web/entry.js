/** One line of history as an element. */

import { el, icon, link, webAddress } from "./dom.js";
import { clock, duration, moment, money, plain } from "./format.js";
import { text, word } from "./texts.js";

/** @typedef {import("./history.js").Entry} Entry */

const LONG = 600;
const MOST_ITEMS = 50;
/** Words of summaries that the heading says already, in the reader's language. */
const SAID = new Set(["inbound", "outbound", "shipment", "message", "order", "return", "call", "refunded", "ticket"]);
const SHOWN = new Set(["agent", "status", "number", "items", "total", "currency", "duration", "recording", "tracking_url", "carrier", "tracking"]);

/**
 * @param {Entry} entry
 * @param {(Node | null)[]} [beside] what stands at its foot as well
 */
export function entryElement(entry, beside = []) {
  const id = `entry-${entry.id}`;
  return el(
    "article",
    { class: `entry ${kindOf(entry)}`, "aria-labelledby": id, "data-id": entry.id },
    el(
      "header",
      {},
      el("span", { class: "badge" }, icon(entry.channel)),
      el("div", { class: "head" }, el("h4", { id, dir: "auto" }, heading(entry)), way(entry)),
      el("time", { datetime: entry.occurred_at, title: moment(entry.occurred_at) }, clock(entry.occurred_at)),
    ),
    el("div", { class: "body" }, entry.sensitive ? veiled(entry) : body(entry)),
    el("footer", {}, beside, link(entry.link, text("source")), details(entry)),
  );
}

/** @param {Entry} entry */
const kindOf = (entry) => (["in", "out", "internal"].includes(entry.direction) ? `way-${entry.direction}` : "way-in");

/** @param {Entry} entry */
function heading(entry) {
  const number = plain(entry.details?.number);
  const status = plain(entry.status);
  const parts = [word("channel", entry.channel), [word("type", entry.type), number].filter(Boolean).join(" ")];
  return [...new Set(parts), status && word("word", status)].filter(Boolean).join(" · ");
}

/** @param {Entry} entry */
function way(entry) {
  const said = text("way", { way: word("direction", entry.direction), actor: word("actor", entry.actor) });
  const agent = entry.sensitive ? "" : plain(entry.details?.agent);
  const named = agent && text(entry.actor === "agent" ? "way.agent" : "way.with", { agent });
  return el("p", { class: "way" }, icon(`way_${entry.direction}`), said, named);
}

/** @param {Entry} entry */
function veiled(entry) {
  return el("details", { class: "veil" }, el("summary", {}, text("sensitive")), body(entry));
}

/** @param {Entry} entry */
function body(entry) {
  const summary = adds(entry) && el("p", { class: "summary", dir: "auto" }, entry.summary);
  return [summary, words(entry.text), ...facts(entry), items(entry), attachments(entry)];
}

/** Whether the summary says more than heading, text and details do. @param {Entry} entry */
export function adds(entry) {
  const known = `${entry.text} ${JSON.stringify(entry.details ?? {})}`.toLowerCase();
  const parts = entry.summary.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  return parts.some((part) => !SAID.has(part) && !known.includes(part) && part !== entry.type);
}

/** @param {string} said */
function words(said) {
  if (!said.trim()) return null;
  const shown = el("p", { class: "text", dir: "auto" }, said);
  if (said.length <= LONG) return shown;
  shown.classList.add("clamped");
  const open = el("button", { type: "button", class: "quiet", "aria-expanded": "false" }, text("all_shown"));
  open.addEventListener("click", () => {
    shown.classList.remove("clamped");
    open.remove();
  });
  return [shown, open];
}

/** @param {Entry} entry */
function facts(entry) {
  const told = entry.details ?? {};
  const found = [duration(told.duration ?? ""), rating(told), [plain(told.carrier), plain(told.tracking)].filter(Boolean).join(" ")];
  const links = [link(told.recording, text("recording")), link(told.tracking_url, text("track"))];
  const shown = found.filter(Boolean).map((each) => el("span", { dir: "auto" }, each));
  return shown.length || links.some(Boolean) ? [el("p", { class: "facts" }, shown, links)] : [];
}

/** @param {any} told */
function rating(told) {
  const [low, high] = Array.isArray(told.scale) ? told.scale : [];
  const score = plain(told.score);
  return score && plain(high) ? text("rated", { score, low: plain(low), high: plain(high) }) : score;
}

/** @param {Entry} entry */
function items(entry) {
  const told = entry.details ?? {};
  const lines = (Array.isArray(told.items) ? told.items : []).filter((each) => each && typeof each === "object");
  const rows = lines.slice(0, MOST_ITEMS).map((line) => item(line, told.currency));
  const total = plain(told.total) && row(text("amount.total"), money(told.total, told.currency), "total");
  return rows.length || total ? el("ul", { class: "items" }, rows, total || null) : null;
}

/** @param {any} line @param {unknown} currency */
function item(line, currency) {
  const quantity = plain(line.quantity);
  const title = plain(line.title) || plain(line.sku) || "–";
  return row(quantity ? `${quantity} × ${title}` : title, plain(line.price) && money(line.price, line.currency ?? currency));
}

/** @param {string} name @param {string} amount @param {string} [kind] */
function row(name, amount, kind) {
  return el("li", { class: kind }, el("span", { dir: "auto" }, name), amount && el("span", { class: "amount" }, amount));
}

/** @param {Entry} entry */
function attachments(entry) {
  const found = entry.attachments.filter((each) => each && typeof each === "object");
  if (!found.length) return null;
  return el("ul", { class: "attachments" }, found.map((each) => el("li", {}, icon("clip"), attachment(each))));
}

/** @param {any} each */
function attachment(each) {
  const name = plain(each.name) || plain(each.media_type) || plain(each.content_type) || text("attachment");
  return link(each.url, name) ?? el("bdi", {}, name);
}

/** All the rest, for whoever wants to know. @param {Entry} entry */
function details(entry) {
  const own = Object.entries(entry.details ?? {}).filter(([name, value]) => !SHOWN.has(name) && plain(value));
  const shown = [
    [moment(entry.occurred_at), ""],
    [[entry.source, entry.provider_type].filter(Boolean).join(" · "), ""],
    [entry.address ?? "", ""],
    ...entry.refs.map((ref) => [ref, ""]),
    ...(entry.sensitive ? [] : own.map(([name, value]) => [name.replaceAll("_", " "), plain(value)])),
  ];
  const lines = shown.filter(([name]) => name).map(([name, value]) => el("li", { dir: "auto" }, value ? `${name}: ` : name, detail(value)));
  return el("details", { class: "rest" }, el("summary", {}, text("details")), el("ul", {}, lines));
}

/** @param {string} value */
function detail(value) {
  return webAddress(value) ? link(value, value) : value;
}
