/** The list of entries: days, threads beside them, and entries that stay the same element while they do not change. */

import { el, fill, icon } from "./dom.js";
import { entryElement } from "./entry.js";
import { dayName, dayOf } from "./format.js";
import { lanesUsed, strands } from "./threads.js";
import { mark } from "./finding.js";
import { language, text, word } from "./texts.js";

/** @typedef {import("./history.js").Entry} Entry */
/** @typedef {import("./threads.js").Strand} Strand */

export class Lines {
  /**
   * @param {HTMLElement} place
   * @param {{colour: (conversation: string) => number, name: (conversation: string) => string,
   *   from: (entry: Entry) => string, chosen: () => string, choose: ((conversation: string) => void) | null,
   *   around: ((entry: Entry) => void) | null}} threads
   *   `from`: the channel that its conversation came from with this entry; `around`: shows one among its neighbours
   */
  constructor(place, threads) {
    this.place = place;
    this.threads = threads;
    /** @type {Map<string, {told: string, element: HTMLElement}>} */
    this.made = new Map();
    /** @type {string[]} */
    this.words = [];
  }

  /** @param {Entry[]} entries newest first @param {Set<string>} fresh ids of what has just come @param {string[]} [words] to mark */
  show(entries, fresh, words = []) {
    this.words = words;
    const rows = strands(entries, this.threads.colour);
    const focused = this.focused();
    const days = byDay(entries).map(({ at, from, to }) => this.day(at, entries.slice(from, to), rows.slice(from, to), fresh));
    this.place.className = `lines lanes-${lanesUsed(rows)}`;
    fill(this.place, days);
    focused?.().focus({ preventScroll: true });
    this.forget(entries);
  }

  /** How to find what has the focus after it was moved, or made anew. @returns {(() => HTMLElement) | null} */
  focused() {
    const element = document.activeElement;
    const id = element?.closest("[data-id]")?.getAttribute("data-id");
    if (!(element instanceof HTMLElement) || !id || !this.place.contains(element)) return null;
    const again = element.matches(".thread") ? ".thread" : element.matches(".around") ? ".around" : "summary";
    return () => (element.isConnected ? element : this.made.get(id)?.element.querySelector(again) ?? this.place);
  }

  /** @param {string} at @param {Entry[]} entries @param {ReturnType<typeof strands>} rows @param {Set<string>} fresh */
  day(at, entries, rows, fresh) {
    const heading = el("h3", {}, dayName(at));
    const list = entries.map((entry, number) => {
      const mark = fresh.has(entry.id) && el("span", { class: "tag new" }, text("fresh.mark"));
      return el("li", { class: "row" }, rail(rows[number].at, rows[number].own), mark, this.entry(entry));
    });
    return el("section", { class: "day" }, el("div", { class: "row day-row" }, rail(rows[0].above, null), heading), el("ol", {}, list));
  }

  /** @param {Entry} entry */
  entry(entry) {
    const name = entry.conversation && this.threads.name(entry.conversation);
    const from = this.threads.from(entry);
    const told = JSON.stringify([language(), name, from, this.words, this.threads.chosen() === entry.conversation, entry]);
    const known = this.made.get(entry.id);
    if (known?.told === told) return known.element;
    const beside = [this.label(entry, name ?? ""), from ? switched(from, entry.channel) : null, this.among(entry)];
    const element = mark(entryElement(entry, beside), this.words);
    this.made.set(entry.id, { told, element });
    return element;
  }

  /** @param {Entry} entry @param {string} name */
  label(entry, name) {
    const { conversation } = entry;
    if (!conversation) return null;
    const inside = [el("span", { class: `bead colour-${this.threads.colour(conversation)}` }), el("bdi", {}, name)];
    const { choose } = this.threads;
    if (!choose) return el("span", { class: "thread" }, inside);
    const pressed = this.threads.chosen() === conversation ? "true" : "false";
    const attributes = { type: "button", class: "thread", "aria-pressed": pressed, title: text("conversation.only") };
    return el("button", { ...attributes, click: () => choose(conversation) }, inside);
  }

  /** Of one that was found: the way to its neighbours. @param {Entry} entry */
  among(entry) {
    const { around } = this.threads;
    if (!around || !this.words.length) return null;
    return el("button", { type: "button", class: "quiet around", click: () => around(entry) }, text("find.around"));
  }

  /** @param {Entry[]} entries */
  forget(entries) {
    const here = new Set(entries.map((entry) => entry.id));
    for (const id of this.made.keys()) if (!here.has(id)) this.made.delete(id);
  }
}

/** @param {Entry[]} entries */
function byDay(entries) {
  /** @type {{at: string, from: number, to: number}[]} */
  const found = [];
  entries.forEach((entry, number) => {
    const last = found[found.length - 1];
    if (last && dayOf(last.at) === dayOf(entry.occurred_at)) last.to = number + 1;
    else found.push({ at: entry.occurred_at, from: number, to: number + 1 });
  });
  return found;
}

/**
 * The threads beside one row, drawn for the eye only: the label in the entry says the same.
 * @param {Strand[]} passing @param {Strand | null} own
 */
function rail(passing, own) {
  const drawn = passing.filter((each) => each.part !== "knot").map((each) => el("span", { class: `strand lane-${each.lane} colour-${each.colour} ${each.part}` }));
  const knot = own && el("span", { class: `knot lane-${own.lane} colour-${own.colour}` });
  const tie = own && el("span", { class: `tie lane-${own.lane} colour-${own.colour}` });
  return el("div", { class: "rail", "aria-hidden": "true" }, drawn, tie, knot);
}

/** @param {string} from @param {string} to */
function switched(from, to) {
  const said = text("switch", { from: word("channel", from), to: word("channel", to) });
  return el("span", { class: "switch" }, icon(from), el("span", { "aria-hidden": "true" }, "→"), icon(to), el("span", {}, said));
}

/** What an empty place says. @param {HTMLElement} place @param {string} said @param {(() => void) | null} clear */
export function showEmpty(place, said, clear) {
  place.hidden = said === "";
  fill(place, said && icon("thread"), said, clear && el("button", { type: "button", class: "quiet", click: clear }, text("filter.clear")));
}
