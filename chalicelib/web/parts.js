/** What the views of the console are made of: headings, lists, dialogs, the progress of a job. */

import { get, Refused, Unreachable } from "./api.js";
import { by, el, fill, icon } from "./dom.js";
import { ago, moment } from "./format.js";
import { Poll } from "./poll.js";
import { around, learn, refusal } from "./spoken.js";
import { count, text, word } from "./texts.js";

/** The event by which a part tells the console that the key is no longer good. */
export const EXPIRED = "draad:expired";
const SAID_MS = 8000;
const JOB_SECONDS = 1;

let saidLast = 0;

/** One line for everybody, read out too. @param {import("./dom.js").Child | import("./dom.js").Child[]} said @param {"good" | "bad"} [kind] */
export function say(said, kind = "good") {
  clearTimeout(saidLast);
  fill(by("said"), said);
  by("said").className = `toast ${kind}`;
  if (said && kind === "good") saidLast = setTimeout(() => say(""), SAID_MS);
}

/** Tells what went wrong with a call. @param {unknown} wrong */
export async function complain(wrong) {
  if (wrong instanceof Refused && wrong.status === 401) return void document.dispatchEvent(new Event(EXPIRED));
  await learn("reasons");
  say(reasonOf(wrong), "bad");
}

/** @param {unknown} wrong @returns {import("./dom.js").Child | import("./dom.js").Child[]} */
function reasonOf(wrong) {
  if (wrong instanceof Unreachable) return text("failed.offline");
  if (!(wrong instanceof Refused)) throw wrong;
  if (wrong.status === 403) return text("failed.scope");
  if (wrong.status === 409) return text("failed.conflict");
  return around("failed", "why", refusal(wrong));
}

/**
 * Runs what a button asks for: once at a time, and not without a word when it fails.
 * @template T
 * @param {HTMLElement} button @param {() => Promise<T>} work
 * @returns {Promise<T | null>} null when it failed
 */
export async function attempt(button, work) {
  if (button.getAttribute("aria-busy") === "true") return null;
  button.setAttribute("aria-busy", "true");
  try {
    return await work();
  } catch (wrong) {
    await complain(wrong);
    return null;
  } finally {
    button.removeAttribute("aria-busy");
  }
}

/**
 * The top of a view.
 * @param {string} title
 * @param {{about?: import("./dom.js").Child, back?: [string, string], actions?: import("./dom.js").Child[]}} [more]
 *   `back`: address and name of where this lies
 */
export function heading(title, { about, back, actions = [] } = {}) {
  return el(
    "header",
    { class: "top" },
    back && el("a", { class: "back", href: back[0] }, icon("back"), back[1]),
    el("div", { class: "top-line" }, el("h1", { tabindex: -1, dir: "auto" }, title), actions.length > 0 && el("div", { class: "actions" }, actions)),
    about && el("p", { class: "about" }, about),
  );
}

/** @param {string} title @param {...(import("./dom.js").Child | import("./dom.js").Child[])} children */
export function card(title, ...children) {
  return el("section", { class: "card" }, title && el("h2", {}, title), ...children);
}

/** @param {string} kind good, sure, warn, bad or none @param {string} said @param {string} [drawn] */
export function badge(kind, said, drawn) {
  return el("span", { class: `tag ${kind}` }, drawn && icon(drawn), said);
}

/** How long ago; the moment itself on hovering. @param {string | null | undefined} at */
export function when(at) {
  return at ? el("time", { datetime: at, title: moment(at) }, ago(at)) : el("span", { class: "soft" }, text("never"));
}

/** Names and values; those without a value are left out. @param {[string, import("./dom.js").Child][]} pairs */
export function facts(pairs) {
  const told = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "pairs" }, told.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

/** @param {string} said @param {() => void} press @param {{main?: boolean, danger?: boolean, drawn?: string}} [how] */
export function button(said, press, { main, danger, drawn } = {}) {
  const look = main ? "main" : danger ? "plain danger" : "plain";
  return el("button", { type: "button", class: look, click: press }, drawn && icon(drawn), said);
}

/** A value to take along. @param {string} label @param {string} value */
export function copyField(label, value) {
  const copy = button(text("copy"), () => void copied(copy, value), { drawn: "copy" });
  copy.setAttribute("aria-label", text("copy.what", { what: label }));
  return el("div", { class: "copy" }, el("span", { class: "label" }, label), el("code", {}, value), copy);
}

/** @param {HTMLElement} place @param {string} value */
async function copied(place, value) {
  try {
    await navigator.clipboard.writeText(value);
    say(text("copied"));
  } catch {
    // Without leave to write: marked, so that the reader's own command takes it.
    const code = place.parentElement?.querySelector("code");
    if (code) getSelection()?.selectAllChildren(code);
    say(text("copy.by_hand"));
  }
}

/**
 * Asks before what cannot be taken back.
 * @param {{title: string, said: string, go: string, danger?: boolean}} asked
 * @returns {Promise<boolean>}
 */
export function confirmed({ title, said, go, danger = false }) {
  return new Promise((resolve) => {
    const dialog = /** @type {HTMLDialogElement} */ (el("dialog", { class: "dialog", "aria-labelledby": "dialog-title" }));
    const end = (/** @type {boolean} */ yes) => () => {
      dialog.close(yes ? "yes" : "");
    };
    const yes = button(go, end(true), danger ? { danger } : { main: true });
    fill(dialog, el("h2", { id: "dialog-title" }, title), el("p", {}, said), el("div", { class: "actions" }, button(text("cancel"), end(false)), yes));
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * How far a job is, by itself until it ends or is no longer on the page.
 * @param {string} id @param {(job: any) => void} [ended]
 */
export function progress(id, ended) {
  const bar = /** @type {HTMLProgressElement} */ (el("progress", { "aria-label": text("job.progress") }));
  const line = el("p", { class: "soft", role: "status" }, text("job.running"));
  const place = el("div", { class: "job" }, bar, line);
  const poll = poller(async () => {
    const { body: job } = await get(`jobs/${encodeURIComponent(id)}`);
    showJob(bar, line, job);
    if (job.status !== "running") ended?.(job);
    if (job.status !== "running" || !place.isConnected) poll.stop();
  }, JOB_SECONDS);
  void poll.now();
  return place;
}

/** @param {HTMLProgressElement} bar @param {HTMLElement} line @param {any} job */
function showJob(bar, line, job) {
  const over = job.status !== "running";
  bar.max = Math.max(job.total ?? job.done, 1);
  if (over) bar.value = bar.max;
  else if (job.total !== null) bar.value = job.done;
  const failed = job.errors.length ? [" · ", count("job.errors", job.errors.length)] : [];
  fill(line, badge(job.status === "failed" || failed.length ? "bad" : over ? "good" : "", word("job_status", job.status)), " ", doneOf(job), ...failed);
}

/** @param {any} job */
function doneOf(job) {
  return job.total === null ? count("job.done", job.done) : text("job.done_of", { done: job.done, total: job.total });
}

/** Asks again while somebody looks; what cannot be had now is had later, and a key that ended is told. @param {() => Promise<void>} ask @param {number} seconds */
export function poller(ask, seconds) {
  const poll = new Poll(async () => {
    try {
      await ask();
    } catch (wrong) {
      if (wrong instanceof Refused) {
        poll.stop();
        await complain(wrong);
      }
      throw wrong;
    }
  }, seconds);
  poll.start();
  return poll;
}

/** Every row of a list that is short: connections, keys, rules. @param {string} path @param {string} name of the rows @param {Record<string, string>} [query] */
export async function everything(path, name, query = {}) {
  const rows = [];
  let next = "";
  do {
    const { body } = await get(path, { ...query, limit: 200, next });
    rows.push(...body[name]);
    next = body.next ?? "";
  } while (next);
  return rows;
}

/**
 * Rows with their heads. On a narrow screen each row is a card of its own.
 * @template T
 * @typedef {{heads: string[], row: (item: T) => import("./dom.js").Child[], id: (item: T) => string}} Shape
 */

/** @template T @param {string} label @param {Shape<T>} shape @param {T[]} items */
export function table(label, shape, items) {
  const heads = shape.heads.map((head) => el("th", { role: "columnheader", scope: "col" }, head));
  const body = el("tbody", { role: "rowgroup" }, items.map((item) => rowOf(shape, item)));
  const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads));
  return el("table", { class: "table", role: "table", "aria-label": label }, head, body);
}

/** @template T @param {Shape<T>} shape @param {T} item */
function rowOf(shape, item) {
  const cells = shape.row(item).map((cell, at) => el("td", { role: "cell", "data-head": shape.heads[at] }, cell));
  return el("tr", { role: "row", "data-id": shape.id(item) }, cells);
}

/**
 * A list by pages, newest first: older rows on demand, newer ones by `refresh`.
 * @template T
 */
export class List {
  /**
   * @param {{label: string, empty: import("./dom.js").Child, shape: Shape<T>, path: string, name: string, query: () => Record<string, string>}} what
   *   `name`: of the rows in the answer
   */
  constructor(what) {
    this.what = what;
    /** @type {T[]} */
    this.items = [];
    /** @type {string | null} */
    this.next = null;
    this.table = el("div", {});
    this.more = button(text("more"), () => void attempt(this.more, () => this.older()));
    this.place = el("div", { class: "list" }, this.table, this.more);
    this.turn = 0;
  }

  /** From the start, by what is asked for now. */
  async reload() {
    const turn = ++this.turn;
    const { body } = await this.page("");
    if (turn !== this.turn) return;
    this.items = body[this.what.name];
    this.next = body.next;
    this.show();
  }

  async older() {
    const turn = this.turn;
    const { body } = await this.page(this.next ?? "");
    if (turn !== this.turn) return;
    this.merge(body[this.what.name], false);
    this.next = body.next;
    this.show();
  }

  /** What is new, and what is known anew; older rows stay, unless so much is new that there would be a gap. */
  async refresh() {
    const turn = this.turn;
    const { body } = await this.page("");
    if (turn !== this.turn) return;
    const found = body[this.what.name];
    const ids = new Set(this.items.map(this.what.shape.id));
    if (found.some((/** @type {T} */ item) => ids.has(this.what.shape.id(item)))) this.merge(found, true);
    else Object.assign(this, { items: found, next: body.next });
    this.show();
  }

  /** @param {string} next */
  page(next) {
    return get(this.what.path, { ...this.what.query(), next });
  }

  /** @param {T[]} found @param {boolean} newer */
  merge(found, newer) {
    const { id } = this.what.shape;
    const fresh = new Map(found.map((item) => [id(item), item]));
    const known = this.items.map((item) => fresh.get(id(item)) ?? item);
    const ids = new Set(this.items.map(id));
    const more = found.filter((item) => !ids.has(id(item)));
    this.items = newer ? [...more, ...known] : [...known, ...more];
  }

  show() {
    const { label, empty, shape } = this.what;
    this.more.hidden = this.next === null;
    const bare = this.items.length === 0;
    // A page that a filter emptied is not the end: there may be more behind it.
    fill(this.table, bare ? this.next === null && el("div", { class: "empty" }, empty) : table(label, shape, this.items));
  }
}
