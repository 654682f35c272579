/** The API's own page: every route of the contract that this hub serves, with an example of each. */

import { by, el, fill, icon } from "./dom.js";
import { operations, shown } from "./operation.js";
import { count, fillFrame, language, speak, text } from "./texts.js";

/** @typedef {import("./operation.js").Operation} Operation */

const CONTRACT = new URL("../../openapi.json", import.meta.url);

const state = {
  /** @type {any} */ contract: null,
  /** @type {Operation[]} */ known: [],
  words: "",
};

async function open() {
  by("failed").hidden = true;
  try {
    const answer = await fetch(CONTRACT, { credentials: "omit" });
    if (!answer.ok) throw new Error(String(answer.status));
    state.contract = await answer.json();
  } catch {
    by("failed").hidden = false;
    return;
  }
  state.known = operations(state.contract);
  by("guide").hidden = by("shown").hidden = false;
  show();
  reveal();
}

/** Everything that is said, in the reader's language. What the contract itself says is English. */
function show() {
  fillFrame();
  document.title = `${text("docs.title")} – Draad`;
  for (const each of document.querySelectorAll("[data-icon]")) fill(each, icon(each.getAttribute("data-icon") ?? ""));
  for (const each of document.querySelectorAll("[data-language]")) {
    each.setAttribute("aria-pressed", String(each.getAttribute("data-language") === language()));
  }
  if (!state.contract) return;
  fill(by("about"), state.contract.info.description.split("\n\n").map((/** @type {string} */ part) => el("p", {}, marked(part))));
  list();
}

/** Text between backticks as code. @param {string} said */
function marked(said) {
  return said.split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
}

/** The routes that were searched for, by what they are about. */
function list() {
  const found = state.known.filter((each) => state.words.split(" ").every((word) => each.words.includes(word)));
  const opened = new Set([...document.querySelectorAll("#routes details[open]")].map((each) => each.id));
  const tags = state.contract.tags.map((/** @type {any} */ tag) => tag.name);
  const groups = tags.map((/** @type {string} */ tag) => ({ tag, here: found.filter((each) => each.tag === tag) }));
  const full = groups.filter((/** @type {any} */ group) => group.here.length);
  fill(by("routes"), full.map((/** @type {any} */ group) => section(group.tag, group.here, opened)));
  fill(by("contents"), el("ul", {}, full.map((/** @type {any} */ group) => entry(group.tag, group.here.length))));
  by("nothing").hidden = found.length > 0;
  fill(by("count"), count("docs.routes", found.length));
}

/** @param {string} tag @param {Operation[]} here @param {Set<string>} opened */
function section(tag, here, opened) {
  const lines = here.map((each) => shown(each, state.contract, opened.has(each.id)));
  return el("section", { "aria-labelledby": anchor(tag) }, el("h2", { id: anchor(tag) }, tag), lines);
}

/** @param {string} tag @param {number} n */
const entry = (tag, n) => el("li", {}, el("a", { href: `#${anchor(tag)}`, lang: "en" }, tag), el("span", { class: "soft" }, String(n)));

/** @param {string} tag */
const anchor = (tag) => `tag-${tag.toLowerCase().replace(/[^a-z]+/g, "-")}`;

/** Opens what the address names. */
function reveal() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!named) return;
  if (named instanceof HTMLDetailsElement) named.open = true;
  named.scrollIntoView();
}

for (const each of document.querySelectorAll("[data-language]")) {
  each.addEventListener("click", () => {
    speak(each.getAttribute("data-language") ?? "");
    show();
  });
}
by("search").addEventListener("input", (event) => {
  if (!(event.target instanceof HTMLInputElement)) return;
  state.words = event.target.value.trim().toLowerCase();
  list();
});
by("again").addEventListener("click", () => void open());
window.addEventListener("hashchange", reveal);

show();
void open();
