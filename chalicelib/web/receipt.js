/** One receipt: what arrived, as it came, and what became of it. */

import { get, Refused, send } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { stamp } from "./format.js";
import { attempt, badge, button, card, facts, heading, progress, when } from "./parts.js";
import { because } from "./spoken.js";
import { count, text, word } from "./texts.js";

const LOOK = { accepted: "good", duplicate: "sure", malformed: "bad", failed: "bad" };
const PATIENCE_MS = 12_000;
const EACH_MS = 500;

/** @param {string} verdict */
export const verdictOf = (verdict) => badge(LOOK[verdict] ?? "", word("verdict", verdict));

/** JSON with a line for each part; anything else as it is. @param {string} body */
export function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body ?? "";
  }
}

/** What its events are, in a few words. @param {any} receipt */
export function summary(receipt) {
  const [first] = receipt.events;
  if (!first) return "";
  const more = receipt.events.length - 1;
  return `${word("type", first.type)} · ${word("channel", first.channel)}${more ? ` ${count("receipt.more", more)}` : ""}`;
}

/** @param {HTMLElement} place @param {string} id @param {Map<string, any>} connections */
export async function showReceipt(place, id, connections) {
  const path = `receipts/${encodeURIComponent(id)}`;
  let left = false;
  void draw(place, path, connections, await awaited(place, path, () => left));
  return () => {
    left = true;
  };
}

/** A receipt that is asked for at once may still lie in the inbox. @param {HTMLElement} place @param {string} path @param {() => boolean} left */
async function awaited(place, path, left) {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return (await get(path)).body;
    } catch (wrong) {
      if (!(wrong instanceof Refused) || wrong.status !== 404 || Date.now() > until || left()) throw wrong;
    }
    if (!place.hasChildNodes()) fill(place, heading(text("receipt"), { back: ["#/receipts", text("nav.receipts")] }), el("p", { class: "soft", role: "status" }, text("receipt.awaited")));
    await new Promise((resolve) => setTimeout(resolve, EACH_MS));
  }
}

/** @param {HTMLElement} place @param {string} path @param {Map<string, any>} connections @param {any} receipt */
async function draw(place, path, connections, receipt) {
  const connection = connections.get(receipt.connection);
  const back = /** @type {[string, string]} */ ([`#/receipts?connection=${encodeURIComponent(receipt.connection)}`, text("nav.receipts")]);
  const job = el("div", { class: "bare" });
  const again = button(text("receipt.replay"), () => void attempt(again, async () => {
    const { job: started } = await send("POST", `${path}/replay`, {});
    fill(job, progress(started, () => void get(path).then(({ body }) => fill(state, ...stateOf(body)))));
  }), { drawn: "again" });
  const state = el("div", { class: "view-part" }, ...stateOf(receipt));
  const about = el("span", { class: "marks" }, verdictOf(receipt.verdict), connection && el("a", { href: `#/connections/${encodeURIComponent(receipt.connection)}` }, connection.name || connection.provider), receipt.test && badge("", text("receipt.test")), receipt.missed && badge("sure", text("receipt.missed")));
  const mapping = connection?.provider === "generic" && !receipt.test && el("a", { class: "plain", href: `#/connections/${encodeURIComponent(receipt.connection)}/mapping?receipt=${encodeURIComponent(receipt.id)}` }, text("mapping.with"));
  fill(place, heading(text("receipt.of", { moment: stamp(receipt.received_at) }), { about, back, actions: [mapping, again] }), job, state, requestOf(receipt), fetchedOf(receipt));
}

/** What became of it. @param {any} receipt */
function stateOf(receipt) {
  if (receipt.test) return [card(text("receipt.events"), el("p", {}, text("receipt.of_test")), receipt.reason && el("p", { class: "soft" }, because(receipt.reason)))];
  return [
    receipt.reason && el("section", { class: `card ${LOOK[receipt.verdict] === "bad" ? "bad" : "warn"}`, role: "status" }, el("h2", {}, text("receipt.reason")), el("p", {}, because(receipt.reason))),
    card(text("receipt.events"), receipt.events.length ? el("ul", { class: "events" }, receipt.events.map(eventOf)) : el("p", { class: "soft" }, text("receipt.no_events"))),
  ].filter(Boolean);
}

/** @param {any} event */
function eventOf(event) {
  const where = event.customer
    ? el("a", { class: "plain", href: `customers/${encodeURIComponent(event.customer)}` }, icon("crm"), text("receipt.customer"))
    : event.customer === null && el("span", { class: "soft" }, text("receipt.nobody"));
  return el(
    "li", {},
    el("span", { class: "strong" }, `${word("type", event.type)} · ${word("channel", event.channel)}`),
    " ", verdictOf(event.verdict), " ", el("span", { class: "soft" }, word("direction", event.direction), ", ", when(event.occurred_at)),
    where,
  );
}

/** @param {any} receipt */
function requestOf(receipt) {
  if (receipt.method === null) return card(text("receipt.request"), el("p", { class: "soft" }, text("receipt.gone")));
  const body = receipt.body === null ? receipt.body_base64 : pretty(receipt.body);
  const headers = receipt.headers.map((/** @type {[string, string]} */ [name, value]) => /** @type {[string, string]} */ ([name, value]));
  return card(
    text("receipt.request"),
    facts([[text("receipt.method"), receipt.method], [text("receipt.key"), receipt.delivery_key && el("code", {}, receipt.delivery_key)]]),
    el("h3", {}, text("receipt.headers")), el("div", { class: "headers" }, facts(headers)), el("p", { class: "soft" }, text("receipt.redacted")),
    el("h3", {}, text(receipt.body === null ? "receipt.bytes" : "receipt.body")), el("pre", { tabindex: 0, "aria-label": text("receipt.body"), dir: "ltr" }, body || text("receipt.empty")),
  );
}

/** What was asked of the provider besides. @param {any} receipt */
function fetchedOf(receipt) {
  if (!receipt.fetched || Object.keys(receipt.fetched).length === 0) return null;
  return el("details", { class: "card more-fields" }, el("summary", {}, text("receipt.fetched")), el("pre", { tabindex: 0 }, JSON.stringify(receipt.fetched, null, 2)));
}
