/** Connections: all of them, the catalogue of what can be connected, and one. */

import { get } from "./api.js";
import { showCatalogue, showNew } from "./catalogue.js";
import { showConnection } from "./connection.js";
import { el, fill, icon } from "./dom.js";
import { everything, heading, poller, table, when } from "./parts.js";
import { count, text } from "./texts.js";
import { nameOf, newestRefusal, refusedLately, standing, verdicts } from "./standing.js";

const SECONDS = 4;
const TOGETHER = 4;
const MOST_COUNTED = 60;

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const [first, second] = route.parts;
  if (first === "new") return second ? showNew(place, second) : showCatalogue(place, route);
  return first ? showConnection(place, first) : showAll(place);
}

/** @param {HTMLElement} place */
async function showAll(place) {
  /** @type {{all: any[], details: Map<string, any>, asked: string}} */
  const state = { all: await everything("connections", "connections"), details: new Map(), asked: "" };
  const rows = el("div", { class: "list" });
  const search = /** @type {HTMLInputElement} */ (el("input", { type: "search", id: "search", autocomplete: "off", input: () => again() }));
  const again = () => {
    state.asked = search.value.trim().toLowerCase();
    showRows(rows, state);
  };
  const add = el("a", { class: "main", href: "#/connections/new" }, icon("plug"), text("connections.new"));
  const filters = el("div", { class: "filters" }, el("label", { for: "search" }, text("connections.search"), search));
  fill(place, heading(text("nav.connections"), { about: text("connections.about"), actions: [add] }), state.all.length > 0 && filters, rows);
  showRows(rows, state);
  const poll = poller(async () => {
    state.all = await everything("connections", "connections");
    await detail(state);
    showRows(rows, state);
  }, SECONDS);
  void poll.now();
  return () => poll.stop();
}

/** Counts and refusals of each, which the list does not tell. @param {{all: any[], details: Map<string, any>}} state */
async function detail(state) {
  const left = state.all.filter((each) => each.hook_url).slice(0, MOST_COUNTED);
  const one = async () => {
    for (let each = left.shift(); each; each = left.shift()) {
      const { body } = await get(`connections/${encodeURIComponent(each.id)}`);
      state.details.set(each.id, body);
    }
  };
  await Promise.all(Array.from({ length: TOGETHER }, one));
}

/** @param {HTMLElement} rows @param {{all: any[], details: Map<string, any>, asked: string}} state */
function showRows(rows, { all, details, asked }) {
  const found = all.filter((each) => `${each.name} ${each.provider}`.toLowerCase().includes(asked)).reverse();
  if (found.length === 0) {
    const said = all.length ? text("connections.none_found") : text("connections.none");
    return fill(rows, el("div", { class: "empty" }, icon("plug"), el("p", {}, said)));
  }
  const shape = {
    heads: [text("connection"), text("provider"), text("connection.standing"), text("connection.last"), text("connection.counts")],
    id: (/** @type {any} */ each) => each.id,
    row: (/** @type {any} */ each) => rowOf(each, details.get(each.id)),
  };
  const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.closest("tr")?.dataset.id;
  fill(rows, table(text("nav.connections"), shape, found));
  // A row that is drawn anew keeps the keyboard where it was.
  if (focused) /** @type {HTMLElement | null} */ (rows.querySelector(`tr[data-id="${CSS.escape(focused)}"] a`))?.focus({ preventScroll: true });
}

/** @param {any} each @param {any} [known] */
function rowOf(each, known) {
  const refused = known && refusedLately(known) && newestRefusal(known);
  return [
    el("a", { href: `#/connections/${encodeURIComponent(each.id)}`, dir: "auto" }, nameOf(each)),
    each.provider,
    el("span", { class: "marks" }, standing(each), refused && el("span", { class: "tag bad" }, icon("parked"), count("refused", known.refusals.length))),
    each.hook_url ? when(each.last_event_at) : el("span", { class: "soft" }, text("connection.told")),
    known ? verdicts(known) : "",
  ];
}
