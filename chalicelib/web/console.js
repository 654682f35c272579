/** The console: signs in, finds the view that the address names, and shows it. */

import { get, Refused } from "./api.js";
import en from "./console_en.js";
import nl from "./console_nl.js";
import { by, el, fill, icon } from "./dom.js";
import { EXPIRED, say } from "./parts.js";
import { forget, key, remember, takeFromAddress } from "./session.js";
import { learn } from "./spoken.js";
import { add, fillFrame, language, speak, text } from "./texts.js";

/**
 * What the address names below its view: `#/receipts/rcp_x?connection=con_y`.
 * @typedef {{parts: string[], query: URLSearchParams, may: (scope: string) => boolean}} Route `may`: whether the key has a scope
 * @typedef {{show: (place: HTMLElement, route: Route) => Promise<void | (() => void)>}} View `show` fills `place`, and
 *   may answer what is to be done when the reader leaves
 * @typedef {{name: string, module: string, text: string, icon: string, scope: string}} Entry
 */

add({ en, nl });

/** In the order of the menu. One whose file is not there, or that the key may not see, is left out. @type {Entry[]} */
const ENTRIES = [
  { name: "overview", module: "./view_overview.js", text: "nav.overview", icon: "chart", scope: "read" },
  { name: "customers", module: "./view_customers.js", text: "nav.customers", icon: "crm", scope: "read" },
  { name: "connections", module: "./view_connections.js", text: "nav.connections", icon: "plug", scope: "integrate" },
  { name: "receipts", module: "./view_receipts.js", text: "nav.receipts", icon: "inbox", scope: "integrate" },
  { name: "deliveries", module: "./view_deliveries.js", text: "nav.deliveries", icon: "way_out", scope: "integrate" },
  { name: "drift", module: "./view_drift.js", text: "nav.drift", icon: "scales", scope: "integrate" },
  { name: "health", module: "./view_health.js", text: "nav.health", icon: "pulse", scope: "" },
  { name: "jobs", module: "./view_jobs.js", text: "nav.jobs", icon: "slow", scope: "integrate" },
  { name: "rules", module: "./view_rules.js", text: "nav.rules", icon: "rule", scope: "admin" },
  { name: "audiences", module: "./view_audiences.js", text: "nav.audiences", icon: "survey", scope: "audience" },
  { name: "keys", module: "./view_keys.js", text: "nav.keys", icon: "login", scope: "admin" },
  { name: "erasures", module: "./view_erasures.js", text: "nav.erasures", icon: "bin", scope: "admin" },
  { name: "settings", module: "./view_settings.js", text: "nav.settings", icon: "gear", scope: "admin" },
];
const SECTIONS = ["waiting", "sign-in", "notice", "view"];
const THERE = (document.documentElement.dataset.views ?? "").split(" ");
const RETRY_MS = 3000;

const state = {
  /** What the key may do. @type {string[] | null} */ scopes: null,
  /** Of the view that is shown. @type {(() => void) | null} */ leave: null,
  /** Counts openings: what an older one still finds is not shown. */ turn: 0,
  /** Keys of texts. @type {[string, string] | null} */ notice: null,
  reason: "",
};

/** @param {string} section */
function reveal(section) {
  for (const each of SECTIONS) by(each).hidden = each !== section;
  by("sign-out").hidden = !key();
  by("nav").hidden = by("menu").hidden = state.scopes === null;
}

/** With the key of this tab, anew. */
async function open() {
  const turn = close();
  state.scopes = null;
  if (!key()) return signIn("");
  reveal("waiting");
  try {
    const { body } = await get("me");
    if (turn !== state.turn) return;
    // A link to one customer reads, but only there.
    if (body.opens === "customer") return tell("console.closed", "console.closed.text");
    Object.assign(state, { scopes: body.scopes, notice: null, reason: "" });
    await go();
  } catch (wrong) {
    if (turn === state.turn) failed(wrong);
  }
}

/** Leaves the view that is shown. @returns {number} the turn of whoever opens another */
function close() {
  state.leave?.();
  state.leave = null;
  return ++state.turn;
}

const open_to_key = () => ENTRIES.filter((each) => THERE.includes(each.name) && (!each.scope || may(each.scope)));

const may = (/** @type {string} */ scope) => state.scopes?.includes(scope) ?? false;

/** @returns {{entry: Entry | undefined, route: Route}} */
function where() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...parts] = path.split("/").filter(Boolean).map(spelled);
  const entries = open_to_key();
  return { entry: name ? entries.find((each) => each.name === name) : entries[0], route: { parts, query: new URLSearchParams(query), may } };
}

/** @param {string} part of the path */
function spelled(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Shows the view of the address. */
async function go() {
  const turn = close();
  const { entry, route } = where();
  showMenu(entry);
  if (!entry) return open_to_key().length ? tell("view.none", "view.none.text") : tell("console.closed", "console.closed.text");
  const place = el("div", { class: "view" });
  fill(by("view"), place);
  document.title = `${text(entry.text)} – Draad`;
  reveal("view");
  try {
    const [view] = /** @type {[View, void]} */ (await Promise.all([import(entry.module), learn("reasons")]));
    const leave = turn === state.turn ? await view.show(place, route) : null;
    if (turn !== state.turn) return void leave?.();
    state.leave = leave ?? null;
    focusOn(place);
  } catch (wrong) {
    if (turn === state.turn) failed(wrong);
  }
}

/** A screen reader reads on from the heading of what was opened. @param {HTMLElement} place */
function focusOn(place) {
  const title = /** @type {HTMLElement | null} */ (place.querySelector("h1"));
  if (title && !place.contains(document.activeElement)) title.focus({ preventScroll: true });
}

/** @param {Entry | undefined} current */
function showMenu(current) {
  const items = open_to_key().map((each) =>
    el("li", {}, el("a", { href: `#/${each.name}`, "aria-current": each === current && "page" }, icon(each.icon), text(each.text))),
  );
  fill(by("nav-list"), items);
  unfold(false);
}

/** On a narrow screen the menu is folded. @param {boolean} open */
function unfold(open) {
  by("nav").classList.toggle("open", open);
  by("menu").setAttribute("aria-expanded", String(open));
}

/** @param {unknown} wrong */
function failed(wrong) {
  if (wrong instanceof Refused) {
    if (wrong.status === 401) return signIn("sign_in.expired");
    if (wrong.status === 403) return tell("console.closed", "console.closed.text");
    if (wrong.status === 404) return tell("view.gone", "view.gone.text");
  }
  // A module that cannot be had is a hub that cannot be reached, too.
  tell("offline", "offline.text");
  const { turn } = state;
  setTimeout(() => turn === state.turn && void (state.scopes ? go() : open()), RETRY_MS);
}

/** @param {string} reason key of the text, or none */
function signIn(reason) {
  close();
  if (reason) forget();
  Object.assign(state, { scopes: null, reason, notice: null });
  document.title = "Draad";
  fill(by("view"));
  by("sign-in-reason").textContent = reason ? text(reason) : "";
  reveal("sign-in");
  by("key").focus();
}

/** @param {string} title @param {string} said keys of texts */
function tell(title, said) {
  const again = state.notice?.[0] === title && !by("notice").hidden;
  state.notice = [title, said];
  sayNotice();
  by("notice-again").hidden = title !== "offline";
  by("notice-key").hidden = title !== "console.closed";
  reveal("notice");
  if (!again) by("notice-title").focus();
}

function sayNotice() {
  const [title, said] = state.notice ?? ["", ""];
  by("notice-title").textContent = title && text(title);
  by("notice-text").textContent = said && text(said);
}

function showLanguage() {
  fillFrame();
  for (const each of document.querySelectorAll("[data-language]")) {
    each.setAttribute("aria-pressed", each.getAttribute("data-language") === language() ? "true" : "false");
  }
  if (state.reason) by("sign-in-reason").textContent = text(state.reason);
  sayNotice();
}

function listen() {
  by("sign-in-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = /** @type {HTMLInputElement} */ (by("key"));
    remember(field.value.trim());
    field.value = "";
    void open();
  });
  for (const each of ["sign-out", "notice-key"]) {
    by(each).addEventListener("click", () => {
      forget();
      signIn("");
    });
  }
  by("notice-again").addEventListener("click", () => void (state.scopes ? go() : open()));
  by("menu").addEventListener("click", () => unfold(by("menu").getAttribute("aria-expanded") !== "true"));
  by("nav").addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    unfold(false);
    by("menu").focus();
  });
  for (const each of document.querySelectorAll("[data-language]")) {
    each.addEventListener("click", () => {
      speak(each.getAttribute("data-language") ?? "");
      showLanguage();
      if (state.scopes) void go();
    });
  }
  document.addEventListener(EXPIRED, () => signIn("sign_in.expired"));
  document.querySelector(".skip")?.addEventListener("click", (event) => {
    // The fragment is the address of a view: it must stay.
    event.preventDefault();
    by("main").focus();
  });
  // A magic link pasted into this tab changes only the fragment, too.
  window.addEventListener("hashchange", () => {
    say("");
    if (takeFromAddress()) void open();
    else if (state.scopes) void go();
  });
}

takeFromAddress();
for (const each of document.querySelectorAll("[data-icon]")) each.append(icon(each.getAttribute("data-icon") ?? ""));
listen();
showLanguage();
void open();
