/** The mapping of a generic connection: written on the left, tried on something that really arrived on the right. */

import { get, Refused, send } from "./api.js";
import { el, fill } from "./dom.js";
import { stamp } from "./format.js";
import { attempt, button, card, complain, facts, heading, say } from "./parts.js";
import { pretty } from "./receipt.js";
import { because, learn } from "./spoken.js";
import { nameOf } from "./standing.js";
import { count, text, word } from "./texts.js";

const QUIET_MS = 500;
const RECENT = 25;

/** Whether a mapping says what arrives means. @param {any} provider */
export const mappable = (provider) => provider.slug === "generic" || Object.keys(provider.templates).length > 0;

/** @param {HTMLElement} place @param {any} connection @param {any} provider @param {string} receipt the one to begin with */
export async function showMapping(place, connection, provider, receipt) {
  const path = `connections/${encodeURIComponent(connection.id)}`;
  const { body } = await get("receipts", { connection: connection.id, limit: RECENT });
  const names = body.receipts.map((/** @type {any} */ each) => each.id);
  const chosen = receipt || names[0] || "";
  const state = { path, chosen, turn: 0, timer: 0 };
  const raw = el("pre", { tabindex: 0, "aria-label": text("receipt.body") });
  const result = el("div", { class: "bare", role: "status" });
  const code = /** @type {HTMLTextAreaElement} */ (el("textarea", { id: "mapping", class: "code", rows: 24, spellcheck: "false", autocapitalize: "none", input: () => soon() }));
  code.value = connection.mapping ? JSON.stringify(connection.mapping, null, 2) : "";
  const again = () => preview(state, code, result).catch(complain);
  const soon = () => {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => void again(), QUIET_MS);
  };
  const take = async (/** @type {string} */ id) => {
    state.chosen = id;
    fill(raw, id ? pretty((await get(`receipts/${encodeURIComponent(id)}`)).body.body) : "");
    await again();
  };
  const receipts = select("receipt", text("mapping.receipt"), [...new Set([chosen, ...names])].filter(Boolean).map((id) => [id, titleOf(body.receipts.find((/** @type {any} */ each) => each.id === id), id)]), chosen, (id) => void take(id).catch(complain));
  const left = card(text("mapping"), el("p", { class: "soft" }, text("mapping.about")), templates(provider.templates, code, soon), el("label", { class: "unseen", for: "mapping" }, text("mapping")), code, saving(path, code));
  const right = card(text("mapping.tried"), names.length || receipt ? receipts : el("p", {}, text("mapping.nothing")), raw, el("h3", {}, text("mapping.becomes")), result);
  fill(place, heading(text("mapping.of", { name: nameOf(connection) }), { back: [`#/connections/${encodeURIComponent(connection.id)}`, nameOf(connection)] }), el("div", { class: "halves" }, left, right));
  raw.hidden = !chosen;
  await take(chosen);
  return () => clearTimeout(state.timer);
}

/** @param {any} receipt @param {string} id */
const titleOf = (receipt, id) => (receipt ? `${stamp(receipt.received_at)} · ${word("verdict", receipt.verdict)}` : id);

/** @param {string} id @param {string} label @param {[string, string][]} options @param {string} value @param {(value: string) => void} choose */
function select(id, label, options, value, choose) {
  const made = /** @type {HTMLSelectElement} */ (el("select", { id, change: () => choose(made.value) }, options.map(([each, said]) => el("option", { value: each }, said))));
  made.value = value;
  return el("div", { class: "field" }, el("label", { for: id }, label), made);
}

/** @param {Record<string, unknown>} known @param {HTMLTextAreaElement} code @param {() => void} changed */
function templates(known, code, changed) {
  const options = Object.keys(known).map((each) => /** @type {[string, string]} */ ([each, word("template_name", each)]));
  if (options.length === 0) return null;
  return select("template", text("template"), [["", text("template.none")], ...options], "", (name) => {
    if (!name) return;
    code.value = JSON.stringify(known[name], null, 2);
    changed();
  });
}

/** @param {string} path @param {HTMLTextAreaElement} code */
function saving(path, code) {
  const go = button(text("mapping.save"), () => void attempt(go, async () => {
    const mapping = written(code);
    if (mapping === undefined) return say(text("mapping.not_json"), "bad");
    await send("PATCH", path, { mapping });
    say(text("mapping.saved"));
  }), { main: true });
  return el("div", { class: "actions" }, go);
}

/** What is written; null for nothing, undefined for what is no JSON. @param {HTMLTextAreaElement} code */
function written(code) {
  try {
    return code.value.trim() ? JSON.parse(code.value) : null;
  } catch {
    return undefined;
  }
}

/** @param {{path: string, chosen: string, turn: number}} state @param {HTMLTextAreaElement} code @param {HTMLElement} result */
async function preview(state, code, result) {
  const turn = ++state.turn;
  const mapping = written(code);
  code.setAttribute("aria-invalid", String(mapping === undefined));
  if (mapping === undefined) return fill(result, el("p", { class: "wrong" }, text("mapping.not_json")));
  if (mapping === null) return fill(result, el("p", { class: "soft" }, text("mapping.empty")));
  if (!state.chosen) return fill(result);
  try {
    const found = await send("POST", `${state.path}/preview`, { receipt: state.chosen, mapping });
    if (turn === state.turn) fill(result, outcome(found));
  } catch (wrong) {
    if (!(wrong instanceof Refused) || wrong.status !== 422) throw wrong;
    if (turn !== state.turn) return;
    code.setAttribute("aria-invalid", "true");
    fill(result, mistakes(wrong));
  }
}

/** @param {Refused} wrong */
function mistakes(wrong) {
  const lines = wrong.errors.map((each) => el("li", {}, el("code", {}, each.pointer), " ", because(each.detail)));
  return el("div", { class: "wrong" }, el("p", {}, text("mapping.wrong")), el("ul", { class: "bullets" }, lines));
}

/** @param {any} found */
function outcome(found) {
  const said = found.events.length ? count("mapping.events", found.events.length) : text("mapping.no_events", { verdict: word("verdict", found.verdict) });
  return el("div", { class: "bare" }, el("p", { class: found.events.length ? "strong" : "wrong" }, said, found.reason && [" ", ...because(found.reason)]), found.events.map(eventOf));
}

/** @param {any} event */
function eventOf(event) {
  const list = (/** @type {any[]} */ all, /** @type {(each: any) => string} */ say) => all.length && all.map(say).join(", ");
  return el(
    "article", { class: "event" },
    el("p", { class: "strong" }, `${word("type", event.type)} · ${word("channel", event.channel)} · ${word("direction", event.direction ?? "in")}`),
    facts([
      [text("event.at"), event.occurred_at && stamp(event.occurred_at)],
      [text("event.who"), list(event.identities, (each) => `${each.identity} (${each.assurance})`)],
      [text("event.refs"), list(event.refs, (each) => `${each.kind} ${each.value}`)],
      [text("event.text"), event.text || event.summary],
    ]),
    el("details", { class: "more-fields" }, el("summary", {}, text("event.whole")), el("pre", { tabindex: 0 }, JSON.stringify(event, null, 2))),
  );
}
