/** Deliveries: what each system got, waits for or refused, and sending it again. */

import { get, send } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { choice, connectionName, daysAgo, keptUp, momentChoice, onChange, receivers } from "./operate.js";
import { attempt, badge, button, card, facts, heading, List, poller, progress, say, when } from "./parts.js";
import { because } from "./spoken.js";
import { text, word } from "./texts.js";

const SECONDS = 4;
const SOON = 2;
const STATUSES = ["parked", "held", "delayed", "delivered", "claimed", "skipped"];
const LOOK = { delivered: ["good", "ok"], delayed: ["warn", "slow"], parked: ["bad", "parked"], held: ["warn", "parked"] };

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const told = await receivers();
  return route.parts[0] ? showOne(place, told, route.parts[0]) : showAll(place, told, route.query);
}

/** @param {string} status */
function standing(status) {
  const [kind, drawn] = LOOK[status] ?? ["", "dot"];
  return badge(kind, word("delivery_status", status), drawn);
}

/** @param {HTMLElement} place @param {Map<string, any>} told @param {URLSearchParams} query */
async function showAll(place, told, query) {
  const asked = { connection: query.get("connection") ?? "", status: query.get("status") ?? "", since: "" };
  if (!STATUSES.includes(asked.status)) asked.status = "";
  const list = new List({
    label: text("nav.deliveries"),
    empty: [icon("way_out"), el("p", {}, text("deliveries.none"))],
    shape: shapeOf(told),
    path: "deliveries",
    name: "deliveries",
    query: () => ({ ...asked }),
  });
  fill(place, heading(text("nav.deliveries"), { about: text("deliveries.about") }), filters(told, asked, list), ranges(told, asked), list.place);
  await list.reload();
  return keptUp(list, SECONDS);
}

/** @param {Map<string, any>} told @param {Record<string, string>} asked @param {any} list */
function filters(told, asked, list) {
  const again = (/** @type {string} */ name) => (/** @type {string} */ value) => {
    asked[name] = value;
    void attempt(list.place, () => list.reload());
  };
  const since = momentChoice(text("range.since"), "", () => again("since")(since.iso()));
  return el(
    "div",
    { class: "filters", role: "group", "aria-label": text("filter") },
    choice(text("system"), systems(told, text("any")), asked.connection, again("connection")),
    choice(text("status"), [["", text("any")], ...STATUSES.map((each) => /** @type {[string, string]} */ ([each, word("delivery_status", each)]))], asked.status, again("status")),
    since.place,
  );
}

/** @param {Map<string, any>} told @param {string} [nobody] @returns {[string, string][]} */
function systems(told, nobody) {
  const named = [...told.keys()].map((id) => /** @type {[string, string]} */ ([id, connectionName(told, id)]));
  return nobody ? [["", nobody], ...named] : named;
}

/** @param {Map<string, any>} told */
function shapeOf(told) {
  return {
    heads: [text("delivery.last"), text("system"), text("delivery.what"), text("status"), text("delivery.attempts"), text("reason")],
    id: (/** @type {any} */ each) => each.id,
    row: (/** @type {any} */ each) => [
      el("a", { href: `#/deliveries/${encodeURIComponent(each.id)}` }, when(each.last_attempt_at)),
      el("span", { dir: "auto" }, connectionName(told, each.connection)),
      word("delivery_kind", each.kind),
      standing(each.status),
      el("span", { class: "n" }, text("delivery.tries", { n: each.attempts, ms: each.latency_ms })),
      each.status === "delivered" ? "" : el("span", { class: "clip", dir: "auto" }, because(each.reason)),
    ],
  };
}

/** Everything of one system in a range, once more. @param {Map<string, any>} told @param {Record<string, string>} asked */
function ranges(told, asked) {
  let connection = asked.connection || [...told.keys()][0] || "";
  const since = momentChoice(text("range.since"), daysAgo(7));
  const until = momentChoice(text("range.until"));
  const shown = el("div", { class: "bare", role: "status" });
  const go = button(text("redrive.go"), () => void attempt(go, async () => {
    const range = { connection, since: since.iso(), until: until.iso() };
    const { job } = await send("POST", "deliveries/redrive", range);
    fill(shown, progress(job, () => say(text("redrive.done"))));
  }), { main: true });
  if (!connection) return null;
  const fields = el("div", { class: "filters" }, choice(text("system"), systems(told), connection, (value) => (connection = value)), since.place, until.place, go);
  return el("details", { class: "card fold" }, el("summary", {}, text("redrive.range")), el("p", { class: "soft" }, text("redrive.about")), fields, shown);
}

/** @param {HTMLElement} place @param {Map<string, any>} told @param {string} id */
async function showOne(place, told, id) {
  const path = `deliveries/${encodeURIComponent(id)}`;
  const parts = el("div", { class: "view-part" });
  const draw = onChange(parts);
  const look = async () => {
    const { body } = await get(path);
    draw(body, () => drawn(told, body, path, look));
  };
  fill(place, parts);
  await look();
  const poll = poller(look, SOON);
  return () => poll.stop();
}

/** @param {Map<string, any>} told @param {any} each @param {string} path @param {() => Promise<void>} look */
function drawn(told, each, path, look) {
  const again = button(text("redrive"), () => void attempt(again, async () => {
    await send("POST", `${path}/redrive`);
    say(text("redrive.asked"));
    await look();
  }), { main: true });
  const actions = each.status === "delivered" ? [] : [again];
  const title = `${word("delivery_kind", each.kind)} · ${connectionName(told, each.connection)}`;
  return [
    heading(title, { back: ["#/deliveries", text("nav.deliveries")], actions }),
    el("p", { class: "marks" }, standing(each.status), el("span", { class: "soft" }, word("delivery_about", each.status))),
    each.reason && each.status !== "delivered" && el("section", { class: `card ${each.status === "parked" ? "bad" : "warn"}` }, el("h2", {}, text("reason")), el("p", { dir: "auto" }, because(each.reason))),
    card(text("delivery.attempt"), told_of(told, each)),
    excerpt(text("delivery.request"), each.request_excerpt),
    excerpt(text("delivery.response"), each.response_excerpt),
  ];
}

/** @param {Map<string, any>} told @param {any} each */
function told_of(told, each) {
  const customer = each.customer && el("a", { href: `customers/${encodeURIComponent(each.customer)}` }, text("customer.open"));
  return facts([
    [text("system"), el("a", { href: `#/connections/${encodeURIComponent(each.connection)}`, dir: "auto" }, connectionName(told, each.connection))],
    [text("delivery.attempts"), String(each.attempts)],
    [text("delivery.last"), when(each.last_attempt_at)],
    [text("delivery.latency"), text("milliseconds", { n: each.latency_ms })],
    [text("delivery.due"), each.status === "delayed" ? when(each.due_at) : null],
    [text("delivery.happened"), when(each.occurred_at)],
    [text("customer"), customer],
    [text("delivery.event"), each.event && el("code", {}, each.event)],
    [text("delivery.record"), each.remote_contact && el("code", {}, each.remote_contact)],
    [text("delivery.activity"), each.remote_id && el("code", {}, each.remote_id)],
  ]);
}

/** @param {string} title @param {string | null} said */
function excerpt(title, said) {
  return said ? card(title, el("pre", { dir: "auto", tabindex: 0 }, said)) : null;
}
