/** What is known of a customer's timeline, newest first, and how it stays up to date. */

import { get } from "./api.js";

const PAGE = 50;
const MOST = 200;

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
  /** @param {string} path @param {Filter} filter */
  constructor(path, filter = nothingFiltered()) {
    this.path = path;
    this.filter = filter;
    /** @type {Entry[]} */
    this.entries = [];
    /** @type {string | null} */
    this.next = null;
    this.tag = "";
    this.limit = PAGE;
    this.loaded = false;
  }

  /** Asks for the newest. @returns {Promise<{changed: boolean, fresh: Entry[]}>} */
  async refresh() {
    const limit = Math.min(MOST, Math.max(PAGE, Math.ceil(this.entries.length / PAGE) * PAGE));
    const tag = limit === this.limit ? this.tag : "";
    const answer = await get(this.path, { limit, ...this.filter }, tag);
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

  /** The next page of older entries. @returns {Promise<Entry[]>} */
  async more() {
    const from = this.next;
    if (from === null) return [];
    const { body } = await get(this.path, { limit: PAGE, next: from, ...this.filter });
    if (this.next !== from) return [];
    const known = new Set(this.entries.map((entry) => entry.id));
    const added = body.entries.filter((/** @type {Entry} */ entry) => !known.has(entry.id));
    this.entries = [...this.entries, ...added].sort(newerFirst);
    this.next = body.next;
    return added;
  }
}
