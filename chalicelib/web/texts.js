/** Every word that the pages say, in the reader's language. */

import en from "./en.js";
import nl from "./nl.js";
import { language as chosen, rememberLanguage } from "./session.js";

/** @type {Record<string, Record<string, string>>} */
const LANGUAGES = { en, nl };

let current = wished();

/** Words of a page or a view of its own, beside those that all pages share. @param {Record<string, Record<string, string>>} more */
export function add(more) {
  for (const [name, texts] of Object.entries(more)) Object.assign(LANGUAGES[name], texts);
}

/** The language that was chosen here before, or the browser's first one that we speak. */
function wished() {
  const asked = [chosen(), ...navigator.languages].map((each) => each.slice(0, 2).toLowerCase());
  return asked.find((each) => each in LANGUAGES) ?? "en";
}

export const language = () => current;

/** The reader's own variety of the language, for dates and amounts. */
export const locale = () => navigator.languages.find((each) => each.toLowerCase().startsWith(current)) ?? current;

/** @param {string} to */
export function speak(to) {
  if (to in LANGUAGES) current = to;
  rememberLanguage(current);
}

/** @param {string} key @param {Record<string, string | number>} [values] for `{name}` in the text */
export function text(key, values = {}) {
  return (LANGUAGES[current][key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** The form for that many: `key.one` or `key.other`. @param {string} key @param {number} n */
export function count(key, n) {
  return text(`${key}.${new Intl.PluralRules(current).select(n) === "one" ? "one" : "other"}`, { n: n.toLocaleString(locale()) });
}

/** A word of a closed set; one that we do not know stands for itself. @param {string} family @param {unknown} word */
export function word(family, word) {
  const plain = String(word ?? "");
  return LANGUAGES[current][`${family}.${plain}`] ?? plain.replaceAll("_", " ");
}

/** Fills what the page's frame says: `data-text` and `data-label`. */
export function fillFrame() {
  document.documentElement.lang = current;
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = text(each.getAttribute("data-text") ?? "");
  for (const each of document.querySelectorAll("[data-label]")) {
    each.setAttribute("aria-label", text(each.getAttribute("data-label") ?? ""));
  }
}
