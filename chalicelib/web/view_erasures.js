/** Erasures: those there were, with their certificates, and erasing a customer. */

import { get, send } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { textField } from "./form.js";
import { moment } from "./format.js";
import { connectionName, keptUp, onChange, receivers } from "./operate.js";
import { attempt, badge, button, card, facts, heading, List, poller, progress, table, when } from "./parts.js";
import { customerSearch } from "./search.js";
import { because } from "./spoken.js";
import { count, text, word } from "./texts.js";

const SECONDS = 4;
const SOON = 2;
const GOOD = ["erased", "blanked", "in force", "told to leave", "nothing there"];
const BAD = ["failed", "cannot be told"];
const DESTINATION = "destination ";
const RUNNING_OUT = ["queues", "stream", "backups"];

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const [first, second] = route.parts;
  if (first === "new") return second ? showPlan(place, second) : showSearch(place);
  return first ? showCertificate(place, first) : showAll(place);
}

/** @param {HTMLElement} place */
async function showAll(place) {
  const list = new List({
    label: text("nav.erasures"),
    empty: [icon("bin"), el("p", {}, text("erasures.none"))],
    shape: {
      heads: [text("erasure.asked"), text("erasure.who"), text("status"), text("reason"), text("erasure.by")],
      id: (/** @type {any} */ each) => each.id,
      row: (/** @type {any} */ each) => [
        el("a", { href: `#/erasures/${encodeURIComponent(each.id)}` }, when(each.requested_at)),
        each.customer ? el("code", {}, each.customer) : text("erasure.whole"),
        badge(each.status === "failed" || each.errors.length ? "bad" : each.status === "done" ? "good" : "", word("job_status", each.status)),
        el("span", { class: "clip", dir: "auto" }, each.reason ?? ""),
        el("code", {}, each.requested_by),
      ],
    },
    path: "erasures",
    name: "erasures",
    query: () => ({}),
  });
  const add = el("a", { class: "main", href: "#/erasures/new" }, icon("bin"), text("erasure.new"));
  fill(place, heading(text("nav.erasures"), { about: text("erasures.about"), actions: [add] }), list.place);
  await list.reload();
  return keptUp(list, SECONDS);
}

/** @param {HTMLElement} place */
async function showSearch(place) {
  const choose = (/** @type {any} */ customer) => el("a", { class: "plain danger", href: `#/erasures/new/${encodeURIComponent(customer.id)}` }, text("erasure.choose"));
  fill(place, heading(text("erasure.new"), { back: ["#/erasures", text("nav.erasures")], about: text("erasure.find") }), customerSearch(choose));
  /** @type {HTMLElement | null} */ (place.querySelector("input"))?.focus();
}

/** What will happen, before anything does. @param {HTMLElement} place @param {string} id */
async function showPlan(place, id) {
  const path = `customers/${encodeURIComponent(id)}`;
  const [{ body: customer }, { body: sync }, told] = await Promise.all([get(path), get(`${path}/sync`), receivers()]);
  const name = customer.name || text("no_name");
  const page = el("a", { class: "plain", href: path }, text("customer.open"));
  fill(
    place,
    heading(text("erasure.title", { name }), { back: ["#/erasures/new", text("erasure.new")], actions: [page] }),
    card(text("erasure.goes"), el("ul", { class: "bullets" }, goes(customer, sync, told).map((each) => el("li", {}, each)))),
    card(text("erasure.known"), el("ul", { class: "bullets" }, customer.identities.map((/** @type {any} */ each) => el("li", { dir: "auto" }, each.identity)))),
    asking(path),
  );
}

/** @param {any} customer @param {any} sync @param {Map<string, any>} told */
function goes(customer, sync, told) {
  const heard = sync.destinations.filter((/** @type {any} */ each) => each.delivered > 0);
  const systems = [...new Set([...customer.contacts, ...heard].map((each) => connectionName(told, each.connection)))].join(", ");
  return [
    count("erasure.identities", customer.identities.length),
    text("erasure.history"),
    systems ? text("erasure.systems", { systems }) : text("erasure.no_system"),
    text("erasure.late"),
    text("erasure.slow"),
  ];
}

/** Nobody erases by a slip: the word is typed. @param {string} path */
function asking(path) {
  const reason = textField("reason", text("reason"), "", { help: text("erasure.reason.help") });
  const wanted = text("erasure.word");
  const typed = textField("typed", text("erasure.type", { word: wanted }), "");
  const input = /** @type {HTMLInputElement} */ (typed.place.querySelector("input"));
  const go = /** @type {HTMLButtonElement} */ (button(text("erasure.go"), () => void attempt(go, async () => {
    const { erasure } = await send("POST", `${path}/erase`, { reason: String(reason.value() ?? "") });
    location.hash = `#/erasures/${encodeURIComponent(erasure)}`;
  }), { danger: true, drawn: "bin" }));
  go.disabled = true;
  input.addEventListener("input", () => (go.disabled = input.value.trim().toUpperCase() !== wanted));
  return el("section", { class: "card bad" }, el("h2", {}, text("erasure.sure")), el("p", {}, text("erasure.never")), el("div", { class: "fields" }, reason.place, typed.place), go);
}

/** @param {HTMLElement} place @param {string} id */
async function showCertificate(place, id) {
  const path = `erasures/${encodeURIComponent(id)}`;
  const told = await receivers();
  const parts = el("div", { class: "view-part" });
  const bar = el("div", { class: "bare" });
  const draw = onChange(parts);
  const print = button(text("erasure.print"), () => window.print());
  const look = async () => {
    const { body } = await get(path);
    draw(body, () => certificate(body, told));
    if (body.status === "running" && !bar.firstChild) fill(bar, card("", progress(id)));
  };
  fill(place, heading(text("erasure.certificate"), { back: ["#/erasures", text("nav.erasures")], actions: [print] }), bar, parts);
  await look();
  const poll = poller(look, SOON);
  return () => poll.stop();
}

/** @param {any} found @param {Map<string, any>} told */
function certificate(found, told) {
  const shape = {
    heads: [text("erasure.place"), text("erasure.result"), text("erasure.at"), text("details")],
    id: (/** @type {any} */ line) => line.what,
    row: (/** @type {any} */ line) => [placeOf(line.what, told), result(line.result), exactly(line.at), detailOf(line)],
  };
  const about = facts([
    [text("erasure.who"), found.customer ? el("code", {}, found.customer) : text("erasure.whole")],
    [text("status"), word("job_status", found.status)],
    [text("erasure.up_to"), exactly(found.erased_up_to)],
    [text("erasure.by"), el("code", {}, found.requested_by)],
    [text("reason"), found.reason],
    [text("erasure.number"), el("code", {}, found.id)],
  ]);
  const lacking = found.lines.filter((/** @type {any} */ line) => BAD.includes(line.result)).length;
  return [
    found.status === "done" && el("section", { class: `card ${lacking ? "warn" : "good"}` }, el("p", { class: "first" }, icon(lacking ? "parked" : "ok"), lacking ? count("erasure.lacking", lacking) : text("erasure.done"))),
    card(text("details"), about),
    table(text("erasure.certificate"), shape, found.lines),
    found.errors.length > 0 && el("section", { class: "card bad" }, el("h2", {}, text("jobs.errors")), el("ul", { class: "bullets" }, found.errors.map((/** @type {string} */ each) => el("li", {}, because(each))))),
  ];
}

/** A certificate is read years later, too: no "an hour ago". @param {string} at */
const exactly = (at) => el("time", { datetime: at }, moment(at));

/** @param {string} what @param {Map<string, any>} told */
function placeOf(what, told) {
  if (!what.startsWith(DESTINATION)) return word("erasure_place", what);
  return el("span", { dir: "auto" }, connectionName(told, what.slice(DESTINATION.length)));
}

/** @param {any} line */
function detailOf(line) {
  if (RUNNING_OUT.includes(line.what)) return word("erasure_runs_out", line.what);
  return because(line.detail);
}

/** @param {string} said */
function result(said) {
  return badge(GOOD.includes(said) ? "good" : BAD.includes(said) ? "bad" : "", word("erasure_result", said));
}
