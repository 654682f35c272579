/** Words in entries: found whatever their case and accents, and marked where they stand. */

import { plain } from "./format.js";
import { language, word } from "./texts.js";

/** @typedef {import("./history.js").Entry} Entry */

/** Of other refs only machines know the value. */
const NUMBERED = /^(order|receipt|case):/;

/** Letter by letter, so that a place in the result is the same place in the text. @param {string} said */
export function fold(said) {
  return said.replace(/[^\x20-\x7e]/g, (letter) => {
    const bare = letter.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
    return bare.length === 1 ? bare : letter;
  }).toLowerCase();
}

/** @param {string} said */
export const wordsOf = (said) => fold(said).split(/\s+/).filter(Boolean);

/** What was read of each entry before. @type {WeakMap<Entry, {language: string, said: string}>} */
const read = new WeakMap();

/** All that the page says of an entry. @param {Entry} entry */
function saidOf(entry) {
  const known = read.get(entry);
  if (known?.language === language()) return known.said;
  const details = entry.sensitive ? "" : Object.values(entry.details ?? {}).map(flat).join("\n");
  const files = entry.attachments.map((each) => plain(each?.name)).join("\n");
  const named = [word("channel", entry.channel), word("type", entry.type), word("word", entry.status)];
  const numbers = entry.refs.filter((ref) => NUMBERED.test(ref)).map((ref) => ref.slice(ref.lastIndexOf("/") + 1));
  const told = [entry.summary, entry.text, entry.address, entry.link, ...numbers];
  const said = fold([...named, ...told, files, details].filter(Boolean).join("\n"));
  read.set(entry, { language: language(), said });
  return said;
}

/** @param {unknown} value @returns {string} */
const flat = (value) => (value && typeof value === "object" ? Object.values(value).map(flat).join("\n") : plain(value));

/** Whether an entry has all of the words. @param {Entry} entry @param {string[]} words as `wordsOf` gives them */
export function matches(entry, words) {
  const said = saidOf(entry);
  return words.every((each) => said.includes(each));
}

/** Marks the words in an element's own text. @param {HTMLElement} element @param {string[]} words */
export function mark(element, words) {
  if (!words.length) return element;
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) texts.push(/** @type {Text} */ (walker.currentNode));
  for (const text of texts) markText(text, words);
  return element;
}

/** @param {Text} text @param {string[]} words */
function markText(text, words) {
  const found = next(fold(text.data), words);
  if (!found) return;
  const rest = text.splitText(found.at);
  const after = rest.splitText(found.length);
  const marked = document.createElement("mark");
  rest.replaceWith(marked);
  marked.append(rest);
  markText(after, words);
}

/** The first of the words, the longest where two begin at one place. @param {string} said @param {string[]} words */
function next(said, words) {
  const found = words.map((each) => ({ at: said.indexOf(each), length: each.length })).filter((each) => each.at >= 0);
  return found.sort((one, other) => one.at - other.at || other.length - one.length)[0] ?? null;
}
