/** What is known of a customer's timeline, newest first, and how it stays up to date. */

import { get } from "./api.js";

const PAGE = 50;
const MOST = 200;
const DAY_MS = 86_400_000;
/** A stretch of time that is not made shorter: then all its pages are read. */
const SHORTEST_MS = 1000;

/**
 * @typedef {{id: string, occurred_at: string, type: string, channel: string, direction: string, actor: string,
 *   status: unknown, summary: string, text: string, attachments: any[], details: any, link: string | null,
 *   source: string, provider_type: string, address: string | null, sensitive: boolean, refs: string[],
 *   conversation: string | null}} Entry
 * @typedef {{channel: string[], type: string[], conversation: string[]}} Filter
 */

/** @returns {Filter} */
export const nothingFiltered = () => ({ channel: [], type: [], conversation: [] });

/** @param {Filter} filter */
export const filtered = (filter) => Object.values(filter).some((values) => values.length > 0);

/** @param {Filter} filter @param {Entry} entry */
export function passes(filter, entry) {
  return (
    (!filter.channel.length || filter.channel.includes(entry.channel)) &&
    (!filter.type.length || filter.type.includes(entry.type)) &&
    (!filter.conversation.length || filter.conversation.includes(entry.conversation ?? ""))
  );
}

/** @param {Entry} one @param {Entry} other */
export const newerFirst = (one, other) => (place(one) < place(other) ? 1 : place(one) > place(other) ? -1 : 0);

/** @param {Entry} entry */
const place = (entry) => `${entry.occurred_at}#${entry.id}`;

/**
 * The newest page laid over what is known. The page is the truth down to its own oldest entry; older ones stay.
 * Where the two do not meet, something may lie between, so only the page stays.
 * @param {Entry[]} known @param {Entry[]} page @param {boolean} whole nothing is older than the page
 * @returns {{entries: Entry[], older: boolean}} `older`: entries from before the page were kept
 */
export function laidOver(known, page, whole) {
  const ids = new Set(page.map((entry) => entry.id));
  const meets = known.some((entry) => ids.has(entry.id));
  if (whole || !meets) return { entries: page, older: false };
  const oldest = page[page.length - 1];
  const older = known.filter((entry) => !ids.has(entry.id) && newerFirst(entry, oldest) > 0);
  return { entries: [...page, ...older], older: older.length > 0 };
}

export class History {
  /** @param {string} path @param {Filter} filter @param {string} until only what came before this moment; empty for all */
  constructor(path, filter = nothingFiltered(), until = "") {
    this.path = path;
    this.filter = filter;
    this.until = until;
    /** @type {Entry[]} */
    this.entries = [];
    /** @type {string | null} */
    this.next = null;
    this.tag = "";
    this.limit = PAGE;
    this.loaded = false;
    /** Place of the oldest that is shown; older ones were only loaded to be searched. Empty: all are shown. */
    this.floor = "";
  }

  /** Whether this entry belongs here. @param {Entry} entry */
  takes(entry) {
    return passes(this.filter, entry) && (!this.until || entry.occurred_at < this.until);
  }

  visible() {
    return this.floor ? this.entries.filter((entry) => place(entry) >= this.floor) : this.entries;
  }

  /** Whether there is something older than what is shown. */
  get deeper() {
    return this.next !== null || this.visible().length < this.entries.length;
  }

  /** Asks for the newest. @returns {Promise<{changed: boolean, fresh: Entry[]}>} */
  async refresh() {
    const limit = Math.min(MOST, Math.max(PAGE, Math.ceil(this.entries.length / PAGE) * PAGE));
    const tag = limit === this.limit ? this.tag : "";
    const { until } = this;
    const answer = await get(this.path, { limit, until, ...this.filter }, tag);
    if (until !== this.until) return { changed: false, fresh: [] };
    this.limit = limit;
    if (answer.body === null) return { changed: false, fresh: [] };
    this.tag = answer.tag;
    return this.take(answer.body);
  }

  /** @param {{entries: Entry[], next: string | null}} page */
  take(page) {
    const known = new Set(this.entries.map((entry) => entry.id));
    const fresh = this.loaded ? page.entries.filter((entry) => !known.has(entry.id)) : [];
    const { entries, older } = laidOver(this.entries, page.entries, page.next === null);
    if (!older) this.next = page.next;
    this.entries = entries;
    this.loaded = true;
    return { changed: true, fresh };
  }

  /** Shows older entries: those that are here already, else the next page. @returns {Promise<Entry[]>} */
  async more() {
    const hidden = this.entries.slice(this.visible().length);
    if (!hidden.length) return this.load(PAGE);
    const shown = hidden.slice(0, PAGE);
    this.floor = shown.length < hidden.length ? place(shown[shown.length - 1]) : "";
    return shown;
  }

  /** Loads the next page without showing it. */
  async dig() {
    if (!this.floor && this.entries.length) this.floor = place(this.entries[this.entries.length - 1]);
    return this.load(MOST);
  }

  /** @param {number} limit @returns {Promise<Entry[]>} what was added */
  async load(limit) {
    const from = this.next;
    if (from === null) return [];
    const { body } = await get(this.path, { limit, next: from, ...this.filter });
    if (this.next !== from) return [];
    const added = this.add(body.entries);
    this.next = body.next;
    return added;
  }

  /** @param {Entry[]} entries */
  add(entries) {
    const known = new Set(this.entries.map((entry) => entry.id));
    const added = entries.filter((entry) => !known.has(entry.id));
    this.entries = [...this.entries, ...added].sort(newerFirst);
    return added;
  }

  /**
   * Goes on towards today from where `until` began, and leaves no gap: only what was read to its end is taken over.
   * Pages come newest first, so a stretch of time that is too long for a page is made shorter.
   */
  async newer() {
    let span = Math.max(this.span(), DAY_MS);
    while (this.until) {
      const since = this.until;
      const end = Date.parse(since) + span;
      const until = end > Date.now() ? "" : new Date(end).toISOString();
      const { body } = await get(this.path, { limit: MOST, since, until, ...this.filter });
      if (since !== this.until) return [];
      if (body.next !== null && span > SHORTEST_MS) {
        span = Math.ceil(span / 4);
        continue;
      }
      const added = await this.reach(since, until, body);
      if (added.length) return added;
      // Nothing happened in this stretch, so it is behind us, and the next may be longer.
      span *= 4;
    }
    return [];
  }

  /** How long what is here took. */
  span() {
    const { entries } = this;
    return entries.length ? Date.parse(entries[0].occurred_at) - Date.parse(entries[entries.length - 1].occurred_at) : 0;
  }

  /** Takes over all between two moments. @param {string} since @param {string} until @param {{entries: Entry[], next: string | null}} page */
  async reach(since, until, page) {
    const found = [...page.entries];
    for (let next = page.next; next !== null; ) {
      const { body } = await get(this.path, { limit: MOST, since, next, ...this.filter });
      found.push(...body.entries);
      next = body.next;
    }
    if (since !== this.until) return [];
    Object.assign(this, { until, tag: "" });
    return this.add(found);
  }
}
