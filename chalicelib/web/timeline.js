/** The timeline page: signs in, fetches, shows, and keeps up. */

import { get, Refused, Unreachable } from "./api.js";
import { badges, nameOf, panels } from "./customer.js";
import { closeAll, find } from "./dialog.js";
import { by, fill, icon } from "./dom.js";
import { showFilters } from "./filters.js";
import { shortDay, zone } from "./format.js";
import { facts, unanswered } from "./glance.js";
import { filtered, History, newerFirst, nothingFiltered } from "./history.js";
import { Lines, showEmpty } from "./lines.js";
import { Looking } from "./looking.js";
import { Poll } from "./poll.js";
import { EMBEDDED, forget, key, remember, takeFromAddress } from "./session.js";
import { Colours, subjects, switches } from "./threads.js";
import { count, fillFrame, language, speak, text, word } from "./texts.js";
import { Tools } from "./tools.js";

/** @typedef {import("./history.js").Entry} Entry */

const POLL_SECONDS = Number(document.documentElement.dataset.poll) || 5;
const REST_MS = 30_000;
const SOON_MS = 6_000;
const FRESH_MS = 30_000;
const VIEWS = ["waiting", "sign-in", "notice", "customer"];
const WIDE = window.matchMedia("(min-width: 60rem)");

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
  from: (/** @type {Entry} */ entry) => moved.get(entry.id) ?? "",
  chosen: () => state.chosen?.filter.conversation[0] ?? "",
  choose: (/** @type {string} */ conversation) => {
    const on = threads.chosen() === conversation;
    void choose({ ...nothingFiltered(), conversation: on ? [] : [conversation] });
  },
  around: (/** @type {Entry} */ entry) => void looking.around(entry),
};
const lines = new Lines(by("entries"), threads);
const possibleLines = new Lines(by("possible-entries"), { ...threads, choose: null, around: null });
const looking = new Looking({ history: shown, show, jump, failed });
const tools = new Tools({ customer: () => state.customer, name: subject, changed: () => void decided() });
const poll = new Poll(keepUp, POLL_SECONDS);

/** @param {string} part of the path */
function spelled(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function shown() {
  return state.chosen ?? state.whole;
}

/** @type {ReturnType<typeof subjects>} */
let told = new Map();
/** Entries with which a conversation went on elsewhere → from which channel. @type {Map<string, string>} */
let moved = new Map();

/** What a conversation is called. @param {string} conversation @returns {string} */
function subject(conversation) {
  const found = told.get(conversation) ?? begun(conversation);
  if (!found) return "–";
  if (found.number) return `${word("type", found.type)} ${found.number}`;
  return text("conversation.start", { channel: word("channel", found.channel), day: shortDay(found.at) });
}

/** Of one whose entries are not loaded. @param {string} conversation */
function begun(conversation) {
  const found = state.customer?.conversations.find((/** @type {any} */ each) => each.id === conversation);
  return found && { type: "", number: "", channel: found.switches[0]?.from ?? found.channel, at: found.started_at };
}

/** @param {string} view */
function reveal(view) {
  state.view = view;
  for (const each of VIEWS) by(each).hidden = each !== view;
  by("sign-out").hidden = !key() || EMBEDDED;
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
    tools.learn(),
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
  state.outside += chosen ? fresh.filter((entry) => !chosen.takes(entry)).length : 0;
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

/** @param {import("./history.js").Filter} filter @param {string} [until] where the list begins; as it is when not given */
async function choose(filter, until = shown().until) {
  state.outside = 0;
  looking.stop();
  state.chosen = filtered(filter) || until ? new History(state.whole.path, filter, until) : null;
  show();
  try {
    const mine = state.chosen;
    await mine?.refresh();
    if (state.chosen === mine) show();
  } catch (wrong) {
    if (state.customer) failed(wrong);
  }
}

/** Begins the list before a moment; empty: at the newest. @param {string} until */
async function jump(until) {
  await choose(shown().filter, until);
  by("said").textContent = by("jumped").hidden ? text("timeline") : by("jumped").textContent;
}

/** Two became one, or one became two: all that is shown may be otherwise. */
async function decided() {
  const { turn } = state;
  state.whole.tag = "";
  try {
    await Promise.all([state.whole.refresh(), state.chosen?.refresh()]);
    const about = await rest();
    if (turn !== state.turn) return;
    Object.assign(state, about);
    show();
  } catch (wrong) {
    if (turn === state.turn) failed(wrong);
  }
}

/** @param {History} history @param {HTMLElement} button */
async function older(history, button) {
  if (history === shown() && looking.more()) return show();
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
  closeAll();
  looking.clear();
  tools.clear();
  document.title = "Draad";
  for (const each of ["name", "badges", "glance", "panels", "entries", "possible-entries", "filters", "said"]) fill(by(each));
  fill(by("status"));
}

/** @param {string} reason key of the text, or none */
function signIn(reason) {
  if (reason) forget();
  // Nobody types a key into a frame: who stands around it could be anybody.
  if (EMBEDDED) return tell("expired", "expired.text");
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
  by("notice-again").hidden = title === "erased" || title === "expired";
  by("notice-key").hidden = EMBEDDED || !["forbidden", "not_found"].includes(title);
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
  const all = [...new Map([...whole.entries, ...history.entries, ...state.possible.entries].map((entry) => [entry.id, entry])).values()].sort(newerFirst);
  told = subjects(all);
  moved = switches(all);
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
  const asked = unanswered(customer, state.whole.entries);
  fill(by("glance"), facts(customer, state.whole.entries, asked));
  const place = by("panels");
  const open = new Map([...place.querySelectorAll("details")].map((each) => [each.dataset.panel, each.open]));
  const focused = document.activeElement;
  const [button, inside] = [focused?.getAttribute("data-focus"), focused?.closest("details")?.dataset.panel];
  fill(place, panels(customer, state.sync, tools, threads, asked));
  for (const each of place.querySelectorAll("details")) each.open = open.get(each.dataset.panel) ?? ((WIDE.matches && !EMBEDDED) || each.dataset.panel === "conflicts");
  if (focused?.isConnected) return;
  if (button) find(button)?.focus();
  else if (inside) place.querySelector(`[data-panel="${inside}"] summary`)?.focus();
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
  looking.say(history);
  // What is known already is shown until the answer comes.
  const { entries, deeper } = history.loaded || !chosen ? looking.view(history) : { entries: looking.among(whole.visible().filter((entry) => chosen.takes(entry))), deeper: true };
  lines.show(entries, stillFresh(), looking.words);
  const empty = entries.length === 0 && history.next === null && history.loaded && !looking.words.length;
  const narrow = chosen && filtered(chosen.filter);
  showEmpty(by("empty"), empty ? text(narrow ? "empty.filtered" : chosen ? "empty.before" : "empty") : "", narrow ? () => void choose(nothingFiltered()) : null);
  by("more").hidden = !deeper;
  by("end").hidden = deeper || entries.length === 0 || looking.words.length > 0;
}

function showLanguage() {
  fillFrame();
  closeAll();
  for (const each of document.querySelectorAll("[data-language]")) {
    each.setAttribute("aria-pressed", each.getAttribute("data-language") === language() ? "true" : "false");
  }
  if (state.reason) by("sign-in-reason").textContent = text("sign_in.expired");
  sayNotice();
  tools.show();
  show();
}

function listen() {
  looking.listen();
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
