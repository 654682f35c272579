/** Finding a customer by what somebody says on the phone: a name, an address, a number, an order. */

import { get, Refused } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { complain } from "./parts.js";
import { count, text, word } from "./texts.js";

const SHORTEST = 3;
const PAUSE_MS = 300;
const MOST_IDENTITIES = 3;
const PHONE = /^\+?[\d\s().-]{9,20}$/;

/**
 * @param {(customer: any) => HTMLElement} act what stands beside each that was found
 * @returns {HTMLElement}
 */
export function customerSearch(act) {
  const input = /** @type {HTMLInputElement} */ (el("input", { type: "search", id: "customer-search", autocomplete: "off", spellcheck: "false" }));
  const found = el("div", { class: "list", role: "status" });
  let turn = 0;
  let timer = 0;
  const look = async () => {
    clearTimeout(timer);
    const mine = ++turn;
    const asked = input.value.trim();
    if (asked.length < SHORTEST) return fill(found);
    try {
      const body = await search(asked);
      if (mine === turn) fill(found, results(body, act));
    } catch (wrong) {
      if (mine === turn) refused(found, wrong);
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => void look(), PAUSE_MS);
  });
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void look();
  };
  const line = el("div", { class: "seek" }, input, el("button", { type: "submit", class: "main" }, text("search.go")));
  return el("div", { class: "bare" }, el("form", { class: "field", role: "search", submit }, el("label", { for: "customer-search" }, text("search.label")), line, el("p", { class: "help" }, text("search.help"))), found);
}

/** An address or number is looked up as what it looks like; if that finds nobody, as an order or a name. @param {string} asked */
async function search(asked) {
  const kind = asked.includes("@") ? "email" : PHONE.test(asked) ? "phone" : "";
  if (kind) {
    const { body } = await get("customers", { identity: `${kind}:${asked}` });
    if (body.customers.length || kind === "email") return body;
  }
  return (await get("customers", { q: asked })).body;
}

/** @param {HTMLElement} place @param {unknown} wrong */
function refused(place, wrong) {
  // Too short or not yet whole: it is still being typed.
  if (wrong instanceof Refused && wrong.status === 422) return fill(place, el("p", { class: "soft" }, text("search.more")));
  complain(wrong);
}

/** @param {any} body @param {(customer: any) => HTMLElement} act */
function results(body, act) {
  const { customers, match } = body;
  if (!customers.length) return el("div", { class: "empty" }, icon("question"), el("p", {}, text("search.none")));
  const rows = customers.map((/** @type {any} */ each) => el("li", { class: "card found", "data-id": each.id }, el("div", { class: "who-line" }, el("strong", { dir: "auto" }, each.name || text("no_name")), identities(each)), act(each)));
  return [el("p", { class: "soft" }, count(match === "exact" ? "search.found" : "search.maybe", customers.length)), el("ul", { class: "list" }, rows)];
}

/** @param {any} customer */
function identities(customer) {
  const shown = customer.identities.slice(0, MOST_IDENTITIES).map(plainly);
  const more = customer.identities.length - shown.length;
  return el("span", { class: "soft", dir: "auto" }, shown.join(" · "), more > 0 && ` (+${more})`);
}

/** `email:jan@example.nl` without its first word; of others only what kind it is, and the end. @param {string} identity */
function plainly(identity) {
  const [kind, ...rest] = identity.split(":");
  const value = rest.join(":");
  return ["email", "phone", "fax"].includes(kind) ? value : `${word("kind", kind)} ${value.split("/").pop()}`;
}
