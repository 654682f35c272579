/** Keys: who may do what. A new key is shown once. */

import { Refused, send } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { textField } from "./form.js";
import { marked, ticks } from "./operate.js";
import { attempt, badge, button, card, confirmed, copyField, everything, heading, say, table, when } from "./parts.js";
import { text, word } from "./texts.js";

const SCOPES = ["read", "agent", "integrate", "audience", "admin"];

/** @type {import("./console.js").View["show"]} */
export async function show(place) {
  const rows = el("div", { class: "list" });
  const look = async () => showRows(rows, await everything("keys", "keys"), look);
  fill(place, heading(text("nav.keys"), { about: text("keys.about") }), maker(look), rows);
  await look();
}

/** @param {HTMLElement} rows @param {any[]} keys @param {() => Promise<void>} look */
function showRows(rows, keys, look) {
  const shape = {
    heads: [text("key.name"), text("key.scopes"), text("key.since"), text("key.id"), text("status")],
    id: (/** @type {any} */ key) => key.id,
    row: (/** @type {any} */ key) => [
      el("span", { class: "strong", dir: "auto" }, key.name || "–"),
      el("span", { class: "marks" }, key.scopes.map((/** @type {string} */ each) => badge(each === "admin" ? "warn" : "", word("scope", each)))),
      when(key.created_at),
      el("code", {}, key.id),
      key.revoked ? badge("bad", text("key.revoked")) : revoker(key, look),
    ],
  };
  // Those that still open something come first; the newest of each first.
  const sorted = [...keys].reverse().sort((one, other) => Number(one.revoked) - Number(other.revoked));
  fill(rows, table(text("nav.keys"), shape, sorted));
}

/** @param {any} key @param {() => Promise<void>} look */
function revoker(key, look) {
  const press = async () => {
    const name = key.name || key.id;
    if (!(await confirmed({ title: text("key.revoke.title", { name }), said: text("key.revoke.said"), go: text("key.revoke"), danger: true }))) return;
    await attempt(revoke, async () => {
      await send("DELETE", `keys/${encodeURIComponent(key.id)}`);
      say(text("key.gone"));
      await look();
    });
  };
  const revoke = button(text("key.revoke"), () => void press(), { danger: true });
  revoke.setAttribute("aria-label", text("key.revoke.title", { name: key.name || key.id }));
  return revoke;
}

/** @param {() => Promise<void>} look */
function maker(look) {
  const name = textField("name", text("key.name"), "", { help: text("key.name.help") });
  const scopes = ticks(text("key.scopes"), SCOPES.map((each) => [each, word("scope", each), word("scope_about", each)]), ["read"]);
  const shown = el("div", { class: "bare", role: "status" });
  const make = el("button", { type: "submit", class: "main" }, text("key.make"));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void attempt(make, async () => {
      const made = await created({ name: String(name.value() ?? ""), scopes: scopes.chosen() }, name);
      fill(shown, once(made));
      await look();
    });
  };
  const form = el("form", { class: "bare", submit }, name.place, scopes.place, el("div", { class: "actions" }, make));
  return card(text("key.new"), form, shown);
}

/** @param {any} asked @param {import("./form.js").Field} name */
async function created(asked, name) {
  try {
    const made = await send("POST", "keys", asked);
    name.mark("");
    return made;
  } catch (wrong) {
    if (wrong instanceof Refused) marked([name], wrong.errors);
    throw wrong;
  }
}

/** @param {any} made */
function once(made) {
  return el("section", { class: "card good" }, el("p", { class: "first" }, icon("ok"), text("key.made")), el("p", {}, text("key.once")), copyField(text("key.secret"), made.key));
}
