/** Looking something up: words among what is loaded, older entries as far as wanted, and a day to begin from. */

import { by, el, fill, icon } from "./dom.js";
import { longDay } from "./format.js";
import { matches, wordsOf } from "./finding.js";
import { count, text } from "./texts.js";

/** @typedef {import("./history.js").Entry} Entry @typedef {import("./history.js").History} History */

const AT_ONCE = 100;

export class Looking {
  /**
   * @param {{history: () => History, show: () => void, jump: (until: string) => Promise<void>, failed: (wrong: unknown) => void}} page
   *   `history`: what is looked through; `jump`: begins it anew before a moment, or at the newest
   */
  constructor(page) {
    this.page = page;
    /** @type {string[]} */
    this.words = [];
    this.most = AT_ONCE;
    /** Counts searches, so that an old one stops. */
    this.turn = 0;
    this.digging = false;
  }

  listen() {
    by("find").addEventListener("input", () => this.find());
    by("jump").addEventListener("change", () => this.jump());
    by("newer").addEventListener("click", () => void this.newer());
  }

  /** Forgets it all: for another filter, customer or key. */
  clear() {
    this.stop();
    this.words = [];
    for (const each of ["find", "jump"]) input(each).value = "";
  }

  stop() {
    this.turn += 1;
    this.digging = false;
  }

  find() {
    this.stop();
    Object.assign(this, { words: wordsOf(input("find").value), most: AT_ONCE });
    this.page.show();
  }

  /** Of these entries those that are looked for. @param {Entry[]} entries */
  among(entries) {
    return this.words.length ? entries.filter((entry) => matches(entry, this.words)) : entries;
  }

  /** What is shown of a history. @param {History} history @returns {{entries: Entry[], deeper: boolean}} `deeper`: there is more to show */
  view(history) {
    if (!this.words.length) return { entries: history.visible(), deeper: history.deeper };
    const found = this.among(history.entries);
    return { entries: found.slice(0, this.most), deeper: found.length > this.most };
  }

  /** Shows more of what was found; false when nothing is looked for. */
  more() {
    if (this.words.length) this.most += AT_ONCE;
    return this.words.length > 0;
  }

  /** Loads older entries until one has the words, or there are none. @param {boolean} whole to the very beginning */
  async dig(whole) {
    this.stop();
    const { turn } = this;
    const history = this.page.history();
    this.digging = true;
    try {
      for (let found = 0; (whole || !found) && history.next !== null && turn === this.turn && history === this.page.history(); ) {
        found += this.among(await history.dig()).length;
        if (turn === this.turn) this.page.show();
      }
    } catch (wrong) {
      if (turn === this.turn) this.page.failed(wrong);
    }
    if (turn !== this.turn) return;
    this.digging = false;
    this.page.show();
  }

  /** Begins at the end of the chosen day, as the reader's clock has it. */
  jump() {
    const field = input("jump");
    if (!field.value) return void this.page.jump("");
    // While a year is being typed it is one of long ago.
    if (!field.validity.valid) return;
    const [year, month, day] = field.value.split("-").map(Number);
    void this.page.jump(new Date(year, month - 1, day + 1).toISOString());
  }

  /** Shows an entry among its neighbours. @param {Entry} entry */
  async around(entry) {
    this.clear();
    await this.page.jump(new Date(Date.parse(entry.occurred_at) + 1).toISOString());
    const found = document.querySelector(`#entries [data-id="${CSS.escape(entry.id)}"]`);
    if (!(found instanceof HTMLElement)) return;
    found.tabIndex = -1;
    found.focus();
  }

  async newer() {
    const button = by("newer");
    const first = document.querySelector("#entries [data-id]");
    const before = first?.getBoundingClientRect().top ?? 0;
    button.setAttribute("aria-busy", "true");
    try {
      const added = await this.page.history().newer();
      this.page.show();
      by("said").textContent = count("newer", added.length);
      // What was read stays where it was: the newer entries come above it.
      if (first?.isConnected) window.scrollBy(0, first.getBoundingClientRect().top - before);
    } catch (wrong) {
      this.page.failed(wrong);
    } finally {
      button.removeAttribute("aria-busy");
    }
  }

  /** Says what was searched, and where the list begins. @param {History} history */
  say(history) {
    const jumped = history.until !== "";
    by("jumped").hidden = !jumped;
    by("newer").hidden = !jumped || this.words.length > 0;
    const back = () => (this.clear(), void this.page.jump(""));
    fill(by("jumped"), jumped && [
      el("span", {}, text("jumped", { day: longDay(new Date(Date.parse(history.until) - 1).toISOString()) })),
      el("button", { type: "button", class: "quiet", "data-focus": "back", click: back }, text("jumped.back")),
    ]);
    by("found").hidden = by("found-more").hidden = !this.words.length;
    if (this.words.length) this.sayFound(history);
  }

  /** @param {History} history */
  sayFound(history) {
    const { entries, next, until } = history;
    const oldest = entries[entries.length - 1];
    const searched = next === null && !until ? count("found.all", entries.length) : count("found.part", entries.length);
    const reach = oldest && (next !== null || until) ? text("found.back_to", { day: longDay(oldest.occurred_at) }) : "";
    by("found").textContent = [count("found", this.among(entries).length), [searched, reach].filter(Boolean).join(" ")].join(" ");
    fill(by("found-more"), this.digging ? this.button("find.stop", () => (this.stop(), this.page.show())) : next !== null && [
      this.button("find.older", () => void this.dig(false)),
      this.button("find.whole", () => void this.dig(true)),
    ]);
  }

  /** @param {string} name @param {() => void} click */
  button(name, click) {
    return el("button", { type: "button", class: "quiet", "data-focus": name, click }, text(name), name === "find.stop" && icon("slow"));
  }
}

/** @param {string} id */
const input = (id) => /** @type {HTMLInputElement} */ (by(id));
