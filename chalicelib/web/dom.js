/** Elements made of text nodes only: nothing that a customer wrote is ever read as markup. */

import { ICONS, INITIALS } from "./icons.js";

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined | ((event: Event) => void)>} [attributes]
 *   a function listens to the event of its name; null, undefined and false leave the attribute out
 * @param {...(Child | Child[])} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...nodes(children));
  return made;
}

/** @param {(Child | Child[])[]} children */
function nodes(children) {
  return children.flat().filter((each) => each !== null && each !== undefined && each !== false && each !== "");
}

/** Replaces what is in an element. @param {Element} place @param {...(Child | Child[])} children */
export function fill(place, ...children) {
  place.replaceChildren(...nodes(children));
}

/** @param {string} id @returns {HTMLElement} */
export function by(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`no element ${id}`);
  return found;
}

/** A picture that says nothing to a screen reader: a word always stands beside it. @param {string} name */
export function icon(name) {
  const lines = ICONS[name] ?? (name in INITIALS ? [...ICONS.bubble, ...INITIALS[name]] : ICONS.dot);
  return drawing("svg", { viewBox: "0 0 24 24", class: "icon", "aria-hidden": "true" }, ...lines.map((d) => drawing("path", { d })));
}

/** A part of a drawing. @param {string} tag @param {Record<string, string | number>} attributes @param {...Node} children */
export function drawing(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/**
 * A link to another place, only over http or https; anything else stays text.
 * @param {unknown} url @param {string} shown @param {string} [about] what it leads to, for a screen reader
 */
export function link(url, shown, about) {
  const safe = webAddress(url);
  if (!safe) return null;
  return el("a", { href: safe, target: "_blank", rel: "noopener noreferrer", "aria-label": about }, shown, icon("away"));
}

/** @param {unknown} url @returns {string | null} */
export function webAddress(url) {
  try {
    const found = new URL(String(url));
    return ["http:", "https:"].includes(found.protocol) ? found.href : null;
  } catch {
    return null;
  }
}
