/** The timeline page: signs in, fetches, shows, and keeps up. */

import { get, Refused, Unreachable } from "./api.js";
import { badges, nameOf, panels } from "./customer.js";
import { by, fill, icon } from "./dom.js";
import { showFilters } from "./filters.js";
import { shortDay, zone } from "./format.js";
import { facts } from "./glance.js";
import { filtered, History, newerFirst, nothingFiltered, passes } from "./history.js";
import { Lines, showEmpty } from "./lines.js";
import { Poll } from "./poll.js";
import { forget, key, remember, takeFromAddress } from "./session.js";
import { Colours, subjects } from "./threads.js";
import { count, fillFrame, language, speak, text, word } from "./texts.js";

/** @typedef {import("./history.js").Entry} Entry */

const POLL_SECONDS = Number(document.documentElement.dataset.poll) || 3;
const REST_MS = 30_000;
const SOON_MS = 6_000;
const FRESH_MS = 30_000;
const VIEWS = ["waiting", "sign-in", "notice", "customer"];
const WIDE = window.matchMedia("(min-width: 60rem)");
const MAGIC = "magic_";

const customerId = encodeURIComponent(spelled(location.pathname.split("/").pop() ?? ""));
const customerPath = `customers/${customerId}`;
const colours = new Colours();

/** All that is on the page. `whole` is always kept up; `chosen` only while a filter is on. */
const state = {
  /** @type {any} */ customer: null,
  /** @type {any} */ sync: null,
  whole: new History(`${customerPath}/timeline`),
  /** @type {History | null} */ chosen: null,
  possible: new History(`${customerPath}/possible`),
  /** When what came by itself came. @type {Map<string, number>} */ fresh: new Map(),
  /** Counts what makes answers that are still under way those of somebody else. */ turn: 0,
  outside: 0,
  restAt: 0,
  /** @type {[string, string] | null} */ notice: null,
  view: "waiting",
  reason: "",
};

const threads = {
  colour: (/** @type {string} */ conversation) => colours.of(conversation),
  name: subject,
  chosen: () => state.chosen?.filter.conversation[0] ?? "",
  choose: (/** @type {string} */ conversation) => {
    const on = threads.chosen() === conversation;
    void choose({ ...nothingFiltered(), conversation: on ? [] : [conversation] });
  },
};
const lines = new Lines(by("entries"), threads);
const possibleLines = new Lines(by("possible-entries"), { ...threads, choose: null });
const poll = new Poll(keepUp, POLL_SECONDS);

/** @param {string} part of the path */
function spelled(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const shown = () => state.chosen ?? state.whole;

/** @type {ReturnType<typeof subjects>} */
let told = new Map();

/** What a conversation is called. @param {string} conversation */
function subject(conversation) {
  const found = told.get(conversation);
  if (!found) return "–";
  if (found.number) return `${word("type", found.type)} ${found.number}`;
  return text("conversation.start", { channel: word("channel", found.channel), day: shortDay(found.at) });
}

/** @param {string} view */
function reveal(view) {
  state.view = view;
  for (const each of VIEWS) by(each).hidden = each !== view;
  by("sign-out").hidden = !key();
  if (view !== "customer") by("fresh").hidden = true;
}

/** Everything anew: with another key, or after a failure. */
async function open() {
  poll.stop();
  if (!key()) return signIn("");
  if (state.notice?.[0] !== "offline") reveal("waiting");
  const turn = ++state.turn;
  try {
    const [about] = await Promise.all([rest(), state.whole.refresh()]);
    if (turn !== state.turn) return;
    Object.assign(state, about, { notice: null, reason: "" });
    show();
    reveal("customer");
    poll.start();
  } catch (wrong) {
    if (turn === state.turn) failed(wrong);
  }
}

/** What changes less often, or costs more. */
async function rest() {
  const [customer, sync] = await Promise.all([
    get(customerPath),
    get(`${customerPath}/sync`).catch(withoutIt),
    state.possible.refresh().catch(withoutIt),
  ]);
  return { customer: customer.body, sync: sync?.body ?? state.sync, restAt: Date.now() };
}

/** The timeline is shown even while something beside it cannot be had. @param {unknown} wrong */
function withoutIt(wrong) {
  if (wrong instanceof Unreachable) return null;
  throw wrong;
}

/** One round of polling. */
async function keepUp() {
  const { turn } = state;
  try {
    const [whole, chosen] = await Promise.all([state.whole.refresh(), state.chosen?.refresh()]);
    const due = whole.changed || chosen?.changed || restIsDue();
    const about = due ? await rest() : {};
    if (turn !== state.turn) return;
    Object.assign(state, about);
    showStatus(true);
    note(whole.fresh);
    if (due) show();
  } catch (wrong) {
    if (turn === state.turn) failed(wrong);
    throw wrong;
  }
}

function restIsDue() {
  const lagging = state.sync?.destinations.some((/** @type {any} */ each) => each.state === "behind");
  return Date.now() - state.restAt > (lagging ? SOON_MS : REST_MS);
}

/** Tells of what came by itself. @param {Entry[]} fresh */
function note(fresh) {
  if (!fresh.length) return;
  const { chosen } = state;
  state.outside += chosen ? fresh.filter((entry) => !passes(chosen.filter, entry)).length : 0;
  for (const entry of fresh) state.fresh.set(entry.id, Date.now());
  const newest = fresh[0];
  by("said").textContent = `${count("fresh", fresh.length)}: ${word("channel", newest.channel)}, ${word("type", newest.type)}`;
  const above = by("timeline").getBoundingClientRect().top < -80;
  by("fresh").hidden = !above;
  fill(by("fresh"), icon("way_out"), count("fresh", stillFresh().size));
}

function stillFresh() {
  return new Set([...state.fresh].filter(([, at]) => Date.now() - at < FRESH_MS).map(([id]) => id));
}

/** @param {import("./history.js").Filter} filter */
async function choose(filter) {
  state.outside = 0;
  state.chosen = filtered(filter) ? new History(state.whole.path, filter) : null;
  show();
  try {
    const mine = state.chosen;
    await mine?.refresh();
    if (state.chosen === mine) show();
  } catch (wrong) {
    if (state.customer) failed(wrong);
  }
}

/** @param {History} history @param {HTMLElement} button */
async function older(history, button) {
  button.setAttribute("aria-busy", "true");
  try {
    const added = await history.more();
    show();
    if (added.length) document.querySelector(`[data-id="${CSS.escape(added[0].id)}"]`)?.closest("li")?.scrollIntoView({ block: "nearest" });
  } catch (wrong) {
    if (state.customer) failed(wrong);
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/** @param {unknown} wrong */
function failed(wrong) {
  if (wrong instanceof Unreachable) return unreachable();
  if (!(wrong instanceof Refused)) throw wrong;
  poll.stop();
  if (wrong.status === 401) return signIn("sign_in.expired");
  if (wrong.status === 410) return tell("erased", "erased.text");
  if (wrong.status === 403) return tell("forbidden", "forbidden.text");
  return tell("not_found", "not_found.text");
}

/** What is on the page stays readable; without anything on it, the page says so and goes on trying. */
function unreachable() {
  showStatus(false);
  if (state.view === "customer") return;
  tell("offline", "offline.text");
  setTimeout(() => state.notice?.[0] === "offline" && void open(), POLL_SECONDS * 1000);
}

/** Nothing of a customer stays behind a form or a notice. */
function clear() {
  Object.assign(state, { customer: null, sync: null, chosen: null, outside: 0, fresh: new Map(), turn: state.turn + 1 });
  state.whole = new History(state.whole.path);
  state.possible = new History(state.possible.path);
  document.title = "Draad";
  for (const each of ["name", "badges", "glance", "panels", "entries", "possible-entries", "filters", "said"]) fill(by(each));
  fill(by("status"));
}

/** @param {string} reason key of the text, or none */
function signIn(reason) {
  if (reason) forget();
  clear();
  state.reason = reason;
  by("sign-in-reason").textContent = reason ? text("sign_in.expired") : "";
  reveal("sign-in");
  by("key").focus();
}

/** @param {string} title @param {string} said keys of texts */
function tell(title, said) {
  const again = state.notice?.[0] === title;
  clear();
  state.notice = [title, said];
  sayNotice();
  by("notice-again").hidden = title === "erased";
  by("notice-key").hidden = !["forbidden", "not_found"].includes(title);
  reveal("notice");
  if (!again) by("notice-title").focus();
}

function sayNotice() {
  const [title, said] = state.notice ?? [];
  by("notice-title").textContent = title ? text(title) : "";
  by("notice-text").textContent = said ? text(said) : "";
}

/** @param {boolean} live */
function showStatus(live) {
  const place = by("status");
  place.className = live ? "status live" : "status lost";
  const said = text(live ? "status.live" : "status.offline");
  if (place.textContent !== said) place.textContent = said;
}

function show() {
  const { customer, whole } = state;
  if (!customer) return;
  const history = shown();
  told = subjects([...new Map([...whole.entries, ...history.entries, ...state.possible.entries].map((entry) => [entry.id, entry])).values()].sort(newerFirst));
  // From the oldest on, so that a conversation keeps its colour when newer ones come.
  for (const entry of [...whole.entries].reverse()) if (entry.conversation) colours.of(entry.conversation);
  showStatus(true);
  showWho(customer);
  showPossible();
  showTimeline(history);
}

/** @param {any} customer */
function showWho(customer) {
  document.title = `${nameOf(customer)} – Draad`;
  by("name").textContent = nameOf(customer);
  fill(by("badges"), badges(customer));
  fill(by("glance"), facts(customer, state.whole.entries));
  const place = by("panels");
  const open = new Map([...place.querySelectorAll("details")].map((each) => [each.dataset.panel, each.open]));
  fill(place, panels(customer, state.sync, !key().startsWith(MAGIC)));
  for (const each of place.querySelectorAll("details")) each.open = open.get(each.dataset.panel) ?? (WIDE.matches || each.dataset.panel === "conflicts");
}

function showPossible() {
  const { possible } = state;
  by("possible").hidden = possible.entries.length === 0;
  by("possible-count").textContent = count("possible", possible.entries.length);
  possibleLines.show(possible.entries, new Set());
  by("possible-more").hidden = possible.next === null;
}

/** @param {History} history */
function showTimeline(history) {
  const { whole, chosen } = state;
  const seen = { channel: whole.entries.map((entry) => entry.channel), type: whole.entries.map((entry) => entry.type) };
  by("zone").textContent = text("zone", { zone: zone() });
  showFilters(by("filters"), chosen?.filter ?? nothingFiltered(), seen, subject, (filter) => void choose(filter));
  by("outside").hidden = state.outside === 0;
  by("outside").textContent = state.outside ? count("outside", state.outside) : "";
  const entries = history.loaded || !chosen ? history.entries : whole.entries.filter((entry) => passes(chosen.filter, entry));
  lines.show(entries, stillFresh());
  const empty = entries.length === 0 && history.next === null && history.loaded;
  showEmpty(by("empty"), empty ? text(chosen ? "empty.filtered" : "empty") : "", chosen ? () => void choose(nothingFiltered()) : null);
  by("more").hidden = history.next === null;
  by("end").hidden = history.next !== null || entries.length === 0;
}

function showLanguage() {
  fillFrame();
  for (const each of document.querySelectorAll("[data-language]")) {
    each.setAttribute("aria-pressed", each.getAttribute("data-language") === language() ? "true" : "false");
  }
  if (state.reason) by("sign-in-reason").textContent = text("sign_in.expired");
  sayNotice();
  show();
}

function listen() {
  by("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = /** @type {HTMLInputElement} */ (by("key"));
    remember(field.value.trim());
    field.value = "";
    void open();
  });
  by("sign-out").addEventListener("click", () => {
    poll.stop();
    forget();
    signIn("");
  });
  by("notice-again").addEventListener("click", () => void open());
  by("notice-key").addEventListener("click", () => {
    forget();
    signIn("");
  });
  by("more").addEventListener("click", () => void older(shown(), by("more")));
  by("possible-more").addEventListener("click", () => void older(state.possible, by("possible-more")));
  by("fresh").addEventListener("click", () => {
    by("fresh").hidden = true;
    by("timeline").scrollIntoView();
    by("timeline").focus({ preventScroll: true });
  });
  for (const each of document.querySelectorAll("[data-language]")) {
    each.addEventListener("click", () => {
      speak(each.getAttribute("data-language") ?? "");
      showLanguage();
    });
  }
  // A new link pasted into this tab changes only the fragment: the page does not load again.
  window.addEventListener("hashchange", () => takeFromAddress() && (clear(), void open()));
}

takeFromAddress();
for (const each of document.querySelectorAll("[data-icon]")) each.append(icon(each.getAttribute("data-icon") ?? ""));
listen();
showLanguage();
void open();
