/** Drift: whether every system shows what it must, what differs, and comparing them on demand. */

import { get, send } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { choice, keptUp, onChange } from "./operate.js";
import { attempt, badge, button, heading, List, poller, progress, say, when } from "./parts.js";
import { because } from "./spoken.js";
import { count, text, word } from "./texts.js";

const SECONDS = 5;
const LOOK = { "in step": ["good", "ok"], behind: ["warn", "slow"], parked: ["bad", "parked"] };

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const asked = { connection: route.query.get("connection") ?? "" };
  const cards = el("div", { class: "cards" });
  /** @type {Map<string, HTMLElement>} */
  const known = new Map();
  /** @type {any[]} */
  let systems = [];
  const list = differences(asked, () => systems);
  const look = async () => {
    systems = (await get("drift", { limit: 1 })).body.destinations;
    showCards(cards, known, systems, () => list.reload());
  };
  await look();
  if (!systems.some((each) => each.connection === asked.connection)) asked.connection = "";
  fill(place, heading(text("nav.drift"), { about: text("drift.about") }), systems.length ? cards : el("div", { class: "empty" }, icon("scales"), el("p", {}, text("drift.nobody"))), el("h2", { class: "sub" }, text("drift.list")), filter(asked, systems, list), list.place);
  await list.reload();
  const poll = poller(look, SECONDS);
  const end = keptUp(list, SECONDS);
  return () => {
    poll.stop();
    end();
  };
}

/** @param {Record<string, string>} asked @param {any[]} systems @param {any} list */
function filter(asked, systems, list) {
  if (systems.length < 2) return null;
  const change = (/** @type {string} */ value) => {
    asked.connection = value;
    void attempt(list.place, () => list.reload());
  };
  const options = systems.map((each) => /** @type {[string, string]} */ ([each.connection, each.name || each.connection]));
  return el("div", { class: "filters" }, choice(text("system"), [["", text("any")], ...options], asked.connection, change));
}

/** @param {Record<string, string>} asked @param {() => any[]} systems */
function differences(asked, systems) {
  const name = (/** @type {string} */ id) => systems().find((each) => each.connection === id)?.name || id;
  return new List({
    label: text("drift.list"),
    empty: [icon("scales"), el("p", {}, text("drift.none"))],
    shape: {
      heads: [text("drift.found"), text("system"), text("drift.what"), text("reason"), text("drift.state")],
      id: (/** @type {any} */ each) => [each.connection, each.what, each.event, each.customer, each.record].join(" "),
      row: (/** @type {any} */ each) => [when(each.found_at), el("span", { dir: "auto" }, name(each.connection)), badge("", word("drift_kind", each.what)), because(each.reason), stateOf(each)],
    },
    path: "drift",
    name: "drift",
    query: () => ({ ...asked }),
  });
}

/** How it is now, and where to look further. @param {any} each */
function stateOf(each) {
  if (each.delivery) return el("a", { href: `#/deliveries/${encodeURIComponent(each.delivery)}` }, each.status ? word("delivery_status", each.status) : text("drift.delivery"));
  if (each.record) return el("span", {}, `${text("drift.record")} `, el("code", {}, each.record));
  return text("drift.planned");
}

/** One card a system; each is drawn anew only when it changed, so that a running job stays. @param {HTMLElement} place @param {Map<string, HTMLElement>} known @param {any[]} systems @param {() => Promise<void>} ended */
function showCards(place, known, systems, ended) {
  for (const each of systems) {
    const there = known.get(each.connection) ?? systemCard(each.connection, ended);
    if (!known.has(each.connection)) place.append(there);
    known.set(each.connection, there);
    standings.get(there)?.(each, () => standing(each));
  }
  for (const [id, there] of known) {
    if (systems.some((each) => each.connection === id)) continue;
    there.remove();
    known.delete(id);
  }
}

/** How the upper part of a card is drawn. @type {WeakMap<HTMLElement, ReturnType<typeof onChange>>} */
const standings = new WeakMap();

/** @param {any} each */
function standing(each) {
  const [kind, drawn] = LOOK[each.state] ?? ["", "dot"];
  const id = encodeURIComponent(each.connection);
  const numbers = [
    each.parked > 0 && el("a", { class: "verdict bad", href: `#/deliveries?connection=${id}&status=parked` }, count("drift.parked", each.parked)),
    each.held > 0 && el("a", { class: "verdict", href: `#/deliveries?connection=${id}&status=held` }, count("drift.held", each.held)),
    each.drift > 0 && el("span", { class: "verdict" }, count("drift.differs", each.drift)),
  ].filter(Boolean);
  return [
    el("div", { class: "top-line" }, el("h2", { dir: "auto" }, each.name || each.connection), badge(kind, word("state", each.state), drawn)),
    numbers.length ? el("p", { class: "marks" }, numbers) : el("p", { class: "soft" }, text("drift.well")),
    each.status !== "active" && el("p", { class: "reason" }, text("drift.stopped"), " ", el("a", { href: `#/connections/${id}` }, text("drift.mend"))),
  ];
}

/** @param {string} connection @param {() => Promise<void>} ended */
function systemCard(connection, ended) {
  const top = el("div", { class: "bare" });
  const shown = el("div", { class: "bare" });
  const deep = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox", id: `look-${connection}` }));
  const go = button(text("reconcile.go"), () => void attempt(go, async () => {
    const { job } = await send("POST", "reconcile", { connection, look: deep.checked });
    fill(shown, progress(job, (over) => {
      shown.append(found(over));
      say(text("reconcile.done"));
      void ended().catch(() => {});
    }));
  }), { drawn: "scales" });
  const tick = el("div", { class: "field boolean" }, deep, el("label", { for: `look-${connection}` }, text("reconcile.look")), el("p", { class: "help" }, text("reconcile.look.help")));
  const place = el("section", { class: "card" }, top, tick, go, shown);
  standings.set(place, onChange(top));
  return place;
}

/** What a comparison came to. @param {any} job */
function found(job) {
  const counts = Object.entries(job.counts ?? {}).filter(([, n]) => Number(n) > 0);
  if (!counts.length) return el("p", { class: "soft" }, text("reconcile.nothing"));
  return el("p", { class: "marks" }, counts.map(([what, n]) => badge("warn", `${n} ${word("drift_kind", what)}`)));
}
