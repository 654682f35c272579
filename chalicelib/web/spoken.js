/** What the hub itself says in English, in the reader's language: its reasons, and the texts of the catalogue. */

import { el } from "./dom.js";
import { language, text } from "./texts.js";

/**
 * @typedef {import("./dom.js").Child} Child
 * @typedef {{fits: RegExp, names: string[], said: string, known: number}} Pattern `known`: letters that are the same in all it fits
 * @typedef {{exact: Record<string, string>, patterns: Pattern[]}} Dictionary
 * @typedef {{said: string, lang?: string}} Said `lang` where it is not the page's
 */

const HOLE = /\{(\w+)\}/g;
/** A value that is a reason itself. */
const REASON = "why";

/** By file. @type {Map<string, Dictionary>} */
const loaded = new Map();

const fileOf = (/** @type {string} */ name) => `${name}_${language()}.json`;

/** Loads a dictionary once, for a reader of another language than the hub's. Without it what it is of stays English. @param {"reasons" | "catalogue"} name */
export async function learn(name) {
  const file = fileOf(name);
  if (language() === "en" || loaded.has(file)) return;
  try {
    const answer = await fetch(new URL(`./${file}`, import.meta.url), { credentials: "omit" });
    if (answer.ok) loaded.set(file, dictionary(await answer.json()));
  } catch {
    // It is asked for again by whoever needs it next.
  }
}

/** @param {Record<string, string>} texts @returns {Dictionary} */
function dictionary(texts) {
  const open = Object.keys(texts).filter((each) => each.search(HOLE) >= 0);
  const patterns = open.map((each) => ({
    fits: new RegExp(`^${each.split(HOLE).map((part, at) => (at % 2 ? "(.+)" : part.replace(/[^\w ]/g, "\\$&"))).join("")}$`, "s"),
    names: [...each.matchAll(HOLE)].map(([, name]) => name),
    said: texts[each],
    known: each.replace(HOLE, "").length,
  }));
  return { exact: texts, patterns: patterns.sort((one, other) => other.known - one.known) };
}

/** A text of the catalogue: whole, since what stands in braces there is the reader's to copy. @param {string} english @returns {Said} */
export function spoken(english) {
  if (!english || language() === "en") return { said: english };
  const said = loaded.get(fileOf("catalogue"))?.exact[english];
  return said === undefined ? { said: english, lang: "en" } : { said };
}

/** A reason, with its values. One that we do not know stays English, and says so to a screen reader. @param {string | null | undefined} english @returns {Child[]} */
export function because(english) {
  if (!english || language() === "en") return [english];
  const known = loaded.get(fileOf("reasons"));
  if (known && english in known.exact) return [known.exact[english]];
  const pattern = known?.patterns.find((each) => each.fits.test(english));
  return pattern ? filledIn(pattern, english) : [el("span", { lang: "en" }, english)];
}

/** @param {Pattern} pattern @param {string} english */
function filledIn({ fits, names, said }, english) {
  const [, ...values] = fits.exec(english) ?? [];
  return said.split(HOLE).flatMap((part, at) => {
    if (at % 2 === 0) return [part];
    const value = values[names.indexOf(part)] ?? "";
    return part === REASON ? because(value) : [value];
  });
}

/** Several reasons. @param {string[]} all @returns {Child[]} */
export const becauseOf = (all) => all.flatMap((each, at) => [at > 0 && "; ", ...because(each)]);

/** Why the hub said no: field by field where it told. @param {import("./api.js").Refused} wrong */
export const refusal = (wrong) => (wrong.errors.length ? becauseOf(wrong.errors.map((each) => each.detail)) : because(wrong.message));

/** A text of ours around what is not only text. @param {string} key @param {string} name of the value @param {Child[]} children @returns {Child[]} */
export function around(key, name, children) {
  const [before, after] = text(key, { [name]: "\n" }).split("\n");
  return [before, ...children, after];
}
