/** Conversations as coloured threads along the timeline: which lane, which colour, and what they are called. */

export const LANES = 4;
export const COLOURS = 8;

/** @typedef {import("./history.js").Entry} Entry */
/** @typedef {{lane: number, colour: number, part: "through" | "from" | "to" | "knot"}} Strand
 *  `from`: its newest entry, the thread goes on downwards; `to`: its oldest */

/** Colours in the order in which conversations were first seen, so that none changes while somebody looks. */
export class Colours {
  constructor() {
    /** @type {Map<string, number>} */
    this.given = new Map();
  }

  /** @param {string} conversation */
  of(conversation) {
    if (!this.given.has(conversation)) this.given.set(conversation, this.given.size % COLOURS);
    return this.given.get(conversation) ?? 0;
  }
}

/**
 * The strands that pass each entry, newest first. `above`: those that cross the gap above it as well.
 * @param {{conversation: string | null}[]} entries @param {(conversation: string) => number} colour
 * @returns {{at: Strand[], above: Strand[], own: Strand | null}[]}
 */
export function strands(entries, colour) {
  const ends = reaches(entries);
  /** @type {(string | null)[]} */
  const lanes = Array(LANES).fill(null);
  return entries.map(({ conversation }, row) => {
    const above = running(lanes, colour, "through");
    if (conversation === null) return { at: above, above, own: null };
    const { first, last } = ends.get(conversation) ?? { first: row, last: row };
    const lane = laneOf(lanes, conversation, first === row);
    const holds = lanes[lane] === conversation;
    const part = first === last || !holds ? "knot" : row === first ? "from" : row === last ? "to" : "through";
    const own = { lane, colour: colour(conversation), part };
    if (row === last && holds) lanes[lane] = null;
    return { at: [...above.filter((each) => each.lane !== lane || !holds), own], above, own };
  });
}

/** @param {(string | null)[]} lanes @param {(conversation: string) => number} colour @param {"through"} part */
function running(lanes, colour, part) {
  return lanes.flatMap((held, lane) => (held === null ? [] : [{ lane, colour: colour(held), part }]));
}

/**
 * Its lane, taken at its first entry. More than LANES at once: the last lane shows the knot alone.
 * @param {(string | null)[]} lanes @param {string} conversation @param {boolean} begins
 */
function laneOf(lanes, conversation, begins) {
  const held = lanes.indexOf(conversation);
  if (held >= 0) return held;
  const free = lanes.indexOf(null);
  if (begins && free >= 0) lanes[free] = conversation;
  return free >= 0 ? free : LANES - 1;
}

/** @param {{conversation: string | null}[]} entries */
function reaches(entries) {
  /** @type {Map<string, {first: number, last: number}>} */
  const found = new Map();
  entries.forEach(({ conversation }, row) => {
    if (conversation !== null) found.set(conversation, { first: found.get(conversation)?.first ?? row, last: row });
  });
  return found;
}

/** How many lanes are in use at once. @param {{at: Strand[]}[]} rows */
export function lanesUsed(rows) {
  return rows.reduce((most, row) => row.at.reduce((found, each) => Math.max(found, each.lane + 1), most), 0);
}

/**
 * What a conversation is about: an order or a ticket where one is named, otherwise where it began.
 * @param {Entry[]} entries of any conversation, newest first
 * @returns {Map<string, {type: string, number: string, channel: string, at: string}>}
 */
export function subjects(entries) {
  const found = new Map();
  for (const entry of entries) {
    if (entry.conversation === null) continue;
    const told = found.get(entry.conversation) ?? { type: "", number: "" };
    const number = ["order", "ticket"].includes(entry.type) ? plain(entry.details?.number) : "";
    if (number && !told.number) Object.assign(told, { type: entry.type, number });
    found.set(entry.conversation, { ...told, channel: entry.channel, at: entry.occurred_at });
  }
  return found;
}

/**
 * Where a conversation went on over another channel: the entry that did → the channel that it came from.
 * @param {Entry[]} entries newest first @returns {Map<string, string>}
 */
export function switches(entries) {
  const found = new Map();
  /** @type {Map<string, Entry>} */
  const later = new Map();
  for (const entry of entries) {
    if (entry.conversation === null) continue;
    const after = later.get(entry.conversation);
    if (after && after.channel !== entry.channel) found.set(after.id, entry.channel);
    later.set(entry.conversation, entry);
  }
  return found;
}

/** @param {unknown} value */
const plain = (value) => (["string", "number"].includes(typeof value) ? String(value) : "");
