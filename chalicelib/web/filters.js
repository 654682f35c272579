/** The filter: by channel, by type, and by one conversation. */

import { el, fill, icon } from "./dom.js";
import { filtered } from "./history.js";
import { text, word } from "./texts.js";

/** @typedef {import("./history.js").Filter} Filter */

/**
 * @param {HTMLElement} place
 * @param {Filter} filter
 * @param {{channel: string[], type: string[]}} seen what there is to choose from
 * @param {(conversation: string) => string} nameOf
 * @param {(filter: Filter) => void} change
 */
export function showFilters(place, filter, seen, nameOf, change) {
  const focused = document.activeElement?.getAttribute("data-choice");
  fill(
    place,
    group("channel", text("filter.channel"), filter, seen.channel, change),
    group("type", text("filter.type"), filter, seen.type, change),
    filtered(filter) && el("div", { class: "chosen" }, conversation(filter, nameOf, change), clear(change)),
  );
  const again = [...place.querySelectorAll("[data-choice]")].find((each) => each.getAttribute("data-choice") === focused);
  if (focused && again instanceof HTMLElement) again.focus();
}

/**
 * One choice says nothing, so a group of one is left out unless it is chosen.
 * @param {"channel" | "type"} name @param {string} label @param {Filter} filter @param {string[]} values
 * @param {(filter: Filter) => void} change
 */
function group(name, label, filter, values, change) {
  const offered = [...new Set([...values, ...filter[name]])].sort((one, other) => word(name, one).localeCompare(word(name, other)));
  if (offered.length < 2 && !filter[name].length) return null;
  const buttons = offered.map((value) => {
    const on = filter[name].includes(value);
    const values = on ? filter[name].filter((each) => each !== value) : [...filter[name], value];
    const drawn = name === "channel" ? icon(value) : null;
    const attributes = { type: "button", class: "chip", "aria-pressed": on ? "true" : "false", "data-choice": `${name}.${value}` };
    return el("button", { ...attributes, click: () => change({ ...filter, [name]: values }) }, drawn, word(name, value));
  });
  return el("div", { class: "chips", role: "group", "aria-label": label }, buttons);
}

/** @param {Filter} filter @param {(conversation: string) => string} nameOf @param {(filter: Filter) => void} change */
function conversation(filter, nameOf, change) {
  const [chosen] = filter.conversation;
  if (!chosen) return null;
  const attributes = { type: "button", class: "chip", "aria-pressed": "true", "data-choice": "conversation" };
  const shown = text("filter.conversation", { name: nameOf(chosen) });
  return el("button", { ...attributes, click: () => change({ ...filter, conversation: [] }) }, icon("thread"), shown, " ×");
}

/** @param {(filter: Filter) => void} change */
function clear(change) {
  const none = { channel: [], type: [], conversation: [] };
  return el("button", { type: "button", class: "quiet", "data-choice": "clear", click: () => change(none) }, text("filter.clear"));
}
