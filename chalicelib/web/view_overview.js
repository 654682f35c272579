/** Overview: how much comes by which channel, how content customers are, where they go on, and whether all are told. */

import { get } from "./api.js";
import { bars, columns, legend, number } from "./charts.js";
import { el, fill } from "./dom.js";
import { shortDay } from "./format.js";
import en from "./overview_en.js";
import nl from "./overview_nl.js";
import { badge, card, complain, heading, poller } from "./parts.js";
import { add, count, text, word } from "./texts.js";

add({ en, nl });

const SECONDS = 60;
const DAY_MS = 86_400_000;
const SPANS = [7, 30, 90];
const USUAL = "7";
const COLOURS = 8;
const MOST = 8;
/** @type {[string, number][]} */
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const asked = route.query.get("days") ?? USUAL;
  const span = /** @type {HTMLSelectElement} */ (el("select", { id: "days" }, SPANS.map((days) => el("option", { value: days }, count("overview.days", days)))));
  span.value = SPANS.includes(Number(asked)) ? asked : USUAL;
  const standing = el("div", { class: "standing-now" });
  const board = el("div", { class: "board" });
  let turn = 0;
  const again = async () => {
    const mine = ++turn;
    const [stats, step] = await Promise.all([numbers(Number(span.value)), inStep(route.may("integrate"))]);
    // Somebody chose another period meanwhile.
    if (mine !== turn) return;
    fill(standing, step);
    redraw(board, stats);
  };
  span.addEventListener("change", () => {
    history.replaceState(null, "", span.value === USUAL ? "#/overview" : `#/overview?days=${span.value}`);
    again().catch(complain);
  });
  await again();
  const pick = el("label", { for: "days" }, text("overview.span"), span);
  fill(place, heading(text("nav.overview"), { about: text("overview.about") }), standing, el("div", { class: "filters" }, pick), board);
  const poll = poller(again, SECONDS);
  return () => poll.stop();
}

/** @param {number} days */
async function numbers(days) {
  const from = day(Date.now() - (days - 1) * DAY_MS);
  const [daily, whole] = await Promise.all([get("stats", { from, by: "day,channel" }), get("stats", { from })]);
  return { days: Array.from({ length: days }, (_, at) => day(Date.now() - (days - 1 - at) * DAY_MS)), daily: daily.body, whole: whole.body };
}

/** As the hub counts days: UTC. @param {number} ms */
const day = (ms) => new Date(ms).toISOString().slice(0, 10);

/** What was opened stays open. @param {HTMLElement} board @param {Awaited<ReturnType<typeof numbers>>} stats */
function redraw(board, { days, daily, whole }) {
  const open = new Set([...board.querySelectorAll("details[open]")].map((each) => each.getAttribute("data-chart")));
  fill(
    board,
    glance(whole),
    daily.complete ? null : el("p", { class: "hint" }, text("overview.partial")),
    volume(days, daily),
    el("div", { class: "halves" }, satisfaction(whole), switches(whole)),
    deliveries(whole),
  );
  for (const each of board.querySelectorAll("details")) each.open = open.has(each.getAttribute("data-chart"));
}

/** One line: is everything in step? Who may not see the destinations is told of the hub alone. @param {boolean} whole */
async function inStep(whole) {
  const [health, drift] = await Promise.all([get("../health"), whole ? get("drift", { limit: 1 }) : null]);
  const late = (drift?.body.destinations ?? []).filter((/** @type {any} */ each) => each.state !== "in step");
  if (!late.length && health.body.status === "ok") return el("p", {}, badge("good", text("overview.in_step")));
  const names = late.map((/** @type {any} */ each) => `${each.name || each.connection} (${word("state", each.state)})`).join(", ");
  const bad = late.some((/** @type {any} */ each) => each.state === "parked") || health.body.reasons.length > 0;
  const said = [
    names && el("a", { href: "#/drift" }, text("overview.late", { names })),
    health.body.reasons.length > 0 && el("a", { href: "#/health" }, count("overview.reasons", health.body.reasons.length)),
  ];
  return el("p", { class: "marks" }, badge(bad ? "bad" : "warn", text("overview.not_in_step")), said);
}

/** @param {any} stats */
function glance(stats) {
  const answers = total(stats.satisfaction, "answers");
  const scores = stats.satisfaction.reduce((/** @type {number} */ sum, /** @type {any} */ each) => sum + each.average * each.answers, 0);
  const first = stats.first_response;
  return figures([
    [text("overview.events"), number(total(stats.groups, "events"))],
    [text("overview.first_response"), first.count ? [length(first.p50_seconds), small(text("overview.within", { most: length(first.p90_seconds) }))] : text("overview.none_yet")],
    [text("overview.content"), answers ? [text("overview.score", { score: number(Math.round(scores / answers)) }), small(count("overview.answers", answers))] : text("overview.none_yet")],
    [text("overview.switches"), number(total(stats.switches, "count"))],
  ]);
}

/** @param {[string, import("./dom.js").Child | import("./dom.js").Child[]][]} pairs */
function figures(pairs) {
  return el("dl", { class: "card pairs figures" }, pairs.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** @param {string} said */
const small = (said) => el("span", { class: "small" }, said);

/** @param {any[]} rows @param {string} name @returns {number} */
const total = (rows, name) => rows.reduce((sum, each) => sum + each[name], 0);

/** @param {string[]} days @param {any} stats */
function volume(days, stats) {
  /** @type {Map<string, number>} */
  const all = new Map();
  for (const { channel, events } of stats.groups) all.set(channel, (all.get(channel) ?? 0) + events);
  const ranked = [...all].sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0])).map(([channel]) => channel);
  const named = ranked.length > COLOURS ? ranked.slice(0, COLOURS - 1) : ranked;
  const names = [...named.map((each) => word("channel", each)), ...(ranked.length > named.length ? [text("overview.other")] : [])];
  const found = days.map((each) => {
    const values = names.map(() => 0);
    for (const row of stats.groups) if (row.day === each) values[named.includes(row.channel) ? named.indexOf(row.channel) : named.length] += row.events;
    return { label: shortDay(`${each}T12:00:00`), values };
  });
  const sums = names.map((_, at) => found.reduce((sum, { values }) => sum + values[at], 0));
  const about = text("overview.volume.desc", { parts: names.map((each, at) => `${each} ${number(sums[at])}`).join(", ") });
  const title = text("overview.volume");
  if (!names.length) return nothing(title, text("overview.volume.none"));
  return card(
    title,
    el("p", { class: "soft" }, text("overview.volume.about")),
    columns({ title, about, names, columns: found }),
    legend(names.map((each, at) => [each, number(sums[at])])),
    shown("volume", title, [text("overview.day"), ...names], found.map(({ label, values }) => [label, ...values.map((each) => number(each))])),
  );
}

/** @param {any} stats */
function satisfaction(stats) {
  const title = text("overview.satisfaction");
  const rows = stats.satisfaction;
  if (!rows.length) return nothing(title, text("overview.satisfaction.none"));
  const lines = rows.map((/** @type {any} */ each) => ({
    name: word("channel", each.channel),
    said: number(each.average, { maximumFractionDigits: 1 }),
    more: count("overview.answers", each.answers),
    bars: [[["kind-0", each.average / 100]]],
  }));
  return card(
    title,
    el("p", { class: "soft" }, text("overview.satisfaction.about")),
    bars(lines),
    shown("satisfaction", title, [text("overview.channel"), text("overview.average"), text("overview.answers")], lines.map((/** @type {any} */ each, /** @type {number} */ at) => [each.name, each.said, number(rows[at].answers)])),
  );
}

/** @param {any} stats */
function switches(stats) {
  const title = text("overview.switches");
  const rows = stats.switches.slice(0, MOST);
  if (!rows.length) return nothing(title, text("overview.switches.none"));
  const most = rows[0].count;
  return card(
    title,
    el("p", { class: "soft" }, text("overview.switches.about")),
    bars(rows.map((/** @type {any} */ each) => ({ name: text("overview.switch", pair(each)), said: number(each.count), bars: [[["kind-3", each.count / most]]] }))),
    shown("switches", title, [text("overview.from"), text("overview.to"), text("overview.count")], stats.switches.map((/** @type {any} */ each) => [pair(each).from, pair(each).to, number(each.count)])),
  );
}

/** @param {any} each */
const pair = (each) => ({ from: word("channel", each.from), to: word("channel", each.to) });

/** @param {any} stats */
function deliveries(stats) {
  const title = text("overview.deliveries");
  const rows = stats.deliveries;
  if (!rows.length) return nothing(title, text("overview.deliveries.none"));
  const names = new Map(stats.connections.map((/** @type {any} */ each) => [each.id, each.name]));
  const slowest = Math.max(...rows.map((/** @type {any} */ each) => each.p95_ms ?? 0), 1);
  const heads = ["overview.destination", "overview.success", "overview.delivered", "overview.waiting", "overview.parked", "overview.failed_attempts", "overview.half", "overview.most"].map((each) => text(each));
  return card(
    title,
    el("p", { class: "soft" }, text("overview.deliveries.about")),
    bars(rows.map((/** @type {any} */ each) => delivery(each, names.get(each.connection) || each.connection, slowest))),
    shown("deliveries", title, heads, rows.map((/** @type {any} */ each) => [
      names.get(each.connection) || each.connection, success(each),
      ...[each.delivered, each.waiting, each.parked, each.failed_attempts].map((n) => number(n)), ms(each.p50_ms), ms(each.p95_ms),
    ])),
  );
}

/** @param {any} each @param {string} name @param {number} slowest */
function delivery(each, name, slowest) {
  const all = each.delivered + each.waiting + each.parked;
  const half = (each.p50_ms ?? 0) / slowest;
  const trouble = [each.parked > 0 && count("overview.parked.n", each.parked), each.waiting > 0 && count("overview.waiting.n", each.waiting)];
  const speed = each.p50_ms !== null && text("overview.speed", { half: ms(each.p50_ms), most: ms(each.p95_ms) });
  return {
    name,
    said: success(each),
    more: [speed, ...trouble].filter(Boolean).join(" · "),
    bars: /** @type {[string, number][][]} */ ([
      [["is-good", each.delivered / all], ["is-warn", each.waiting / all], ["is-bad", each.parked / all]],
      [["kind-0", half], ["kind-0 pale", (each.p95_ms ?? 0) / slowest - half]],
    ]),
  };
}

/** @param {any} each */
function success(each) {
  const part = each.delivered / (each.delivered + each.waiting + each.parked);
  // 99.96 % is not all.
  return number(Math.floor(part * 1000) / 1000, { style: "percent", maximumFractionDigits: 1 });
}

/** @param {number | null} value */
const ms = (value) => (value === null ? "–" : value < 1000 ? text("overview.ms", { n: number(value) }) : length(value / 1000));

/** A length of time in the unit that suits it. @param {number} seconds */
function length(seconds) {
  const [unit, size] = UNITS.find(([, each]) => seconds >= each) ?? ["second", 1];
  return number(seconds / size, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: seconds / size < 10 ? 1 : 0 });
}

/** @param {string} title @param {string} said */
const nothing = (title, said) => card(title, el("p", { class: "soft" }, said));

/** The same as a table. @param {string} name @param {string} label @param {string[]} heads @param {string[][]} rows */
function shown(name, label, heads, rows) {
  const head = el("tr", {}, heads.map((each) => el("th", { scope: "col" }, each)));
  const lines = rows.map(([first, ...rest]) => el("tr", {}, el("th", { scope: "row" }, first), rest.map((each) => el("td", {}, each))));
  const sheet = el("table", { class: "sheet", "aria-label": label }, el("thead", {}, head), el("tbody", {}, lines));
  // What is wider than the window is scrolled, by keyboard too.
  const scrolled = el("div", { class: "wide-sheet", tabindex: 0, role: "region", "aria-label": label }, sheet);
  return el("details", { class: "more-fields as-table", "data-chart": name }, el("summary", {}, text("overview.table")), scrolled);
}
