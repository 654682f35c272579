/** Message rules: when the hub itself writes to customers, by which connection, and what. */

import { Refused, send } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { textField } from "./form.js";
import { connectionName, linesField, marked, receivers, selectField } from "./operate.js";
import { attempt, badge, button, confirmed, everything, heading, say, table } from "./parts.js";
import { text, word } from "./texts.js";

const KINDS = ["tell_answer", "order_message", "check_due", "ask_satisfaction"];
const PURPOSES = ["service", "marketing"];
const LANGUAGES = ["nl", "en"];

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const [told, rules] = await Promise.all([receivers(), everything("rules", "rules")]);
  const [first] = route.parts;
  if (!first) return showAll(place, told, rules);
  const rule = rules.find((each) => each.id === first);
  if (first !== "new" && !rule) throw new Refused(404, "");
  showForm(place, told, rule ?? null);
}

/** @param {HTMLElement} place @param {Map<string, any>} told @param {any[]} rules */
function showAll(place, told, rules) {
  const senders = [...told.values()].some((each) => each.catalogue?.sends_messages);
  const add = senders && el("a", { class: "main", href: "#/rules/new" }, icon("rule"), text("rule.new"));
  const rows = el("div", { class: "list" });
  const draw = () => fill(rows, rules.length ? listed(told, rules, draw) : el("div", { class: "empty" }, icon("rule"), el("p", {}, text(senders ? "rules.none" : "rules.no_sender"))));
  fill(place, heading(text("nav.rules"), { about: text("rules.about"), actions: add ? [add] : [] }), rows);
  draw();
}

/** @param {Map<string, any>} told @param {any[]} rules @param {() => void} draw */
function listed(told, rules, draw) {
  const shape = {
    heads: [text("rule.kind"), text("rule.connection"), text("rule.text"), text("status"), text("rule.switch")],
    id: (/** @type {any} */ rule) => rule.id,
    row: (/** @type {any} */ rule) => [
      el("a", { href: `#/rules/${encodeURIComponent(rule.id)}` }, word("rule_kind", rule.kind)),
      el("span", { dir: "auto" }, connectionName(told, rule.connection)),
      el("span", { class: "clip", dir: "auto" }, rule.text.nl ?? rule.text.en ?? rule.template),
      badge(rule.on ? "good" : "", text(rule.on ? "rule.on" : "rule.off"), rule.on ? "ok" : ""),
      el("span", { class: "actions" }, toggle(rule, rules, draw), remover(rule, rules, draw)),
    ],
  };
  return table(text("nav.rules"), shape, rules);
}

/** @param {any} rule @param {any[]} rules @param {() => void} draw */
function toggle(rule, rules, draw) {
  const press = button(text(rule.on ? "rule.turn_off" : "rule.turn_on"), () => void attempt(press, async () => {
    const changed = await send("PATCH", `rules/${encodeURIComponent(rule.id)}`, { on: !rule.on });
    rules[rules.findIndex((each) => each.id === rule.id)] = changed;
    draw();
    say(text("saved"));
  }));
  return press;
}

/** @param {any} rule @param {any[]} rules @param {() => void} draw */
function remover(rule, rules, draw) {
  const press = async () => {
    if (!(await confirmed({ title: text("rule.remove.title", { name: word("rule_kind", rule.kind) }), said: text("rule.remove.said"), go: text("rule.remove"), danger: true }))) return;
    await attempt(remove, async () => {
      await send("DELETE", `rules/${encodeURIComponent(rule.id)}`);
      rules.splice(rules.findIndex((each) => each.id === rule.id), 1);
      draw();
      say(text("rule.removed"));
    });
  };
  const remove = button(text("rule.remove"), () => void press(), { danger: true });
  return remove;
}

/** @param {HTMLElement} place @param {Map<string, any>} told @param {any} rule */
function showForm(place, told, rule) {
  const fields = fieldsOf(told, rule ?? { kind: KINDS[0], text: {}, subject: {}, values: [], scale: [1, 5], purpose: "service", template: "" });
  const save = el("button", { type: "submit", class: "main" }, text(rule ? "save" : "rule.make"));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void attempt(save, async () => {
      await saved(fields, rule);
      say(text("saved"));
      location.hash = "#/rules";
    });
  };
  const about = el("p", { class: "soft" }, word("rule_about", rule?.kind ?? KINDS[0]));
  const kind = /** @type {HTMLSelectElement} */ (fields.kind.place.querySelector("select"));
  kind.addEventListener("change", () => fill(about, word("rule_about", kind.value)));
  const { name } = { name: rule ? word("rule_kind", rule.kind) : text("rule.new") };
  const grid = el("div", { class: "fields" }, fields.kind.place, fields.connection.place, el("div", { class: "wide" }, about), fields.list.map((each) => each.place));
  const form = el("form", { class: "bare", submit }, el("section", { class: "card" }, grid, el("p", { class: "help" }, text("rule.placeholders"))), el("div", { class: "actions" }, save, el("a", { class: "plain", href: "#/rules" }, text("cancel"))));
  fill(place, heading(name, { back: ["#/rules", text("nav.rules")] }), form);
}

/** @param {Map<string, any>} told @param {any} rule */
function fieldsOf(told, rule) {
  const senders = [...told.values()].filter((each) => each.catalogue?.sends_messages || each.id === rule.connection);
  const pairs = (/** @type {string[]} */ words, /** @type {(one: string) => string} */ said) => words.map((each) => /** @type {[string, string]} */ ([each, said(each)]));
  const kind = selectField("kind", text("rule.kind"), pairs(KINDS, (each) => word("rule_kind", each)), rule.kind);
  const connection = selectField("connection", text("rule.connection"), pairs(senders.map((each) => each.id), (id) => connectionName(told, id)), rule.connection ?? senders[0]?.id ?? "", text("rule.connection.help"));
  const list = [
    ...LANGUAGES.map((each) => linesField(`text/${each}`, text("rule.text.in", { language: word("language", each) }), rule.text[each] ?? "", text("rule.text.help"), 4)),
    ...LANGUAGES.map((each) => textField(`subject/${each}`, text("rule.subject.in", { language: word("language", each) }), rule.subject[each] ?? "", { help: text("rule.subject.help") })),
    textField("template", text("rule.template"), rule.template, { help: text("rule.template.help") }),
    linesField("values", text("rule.values"), rule.values.join("\n"), text("rule.values.help"), 2),
    selectField("purpose", text("rule.purpose"), pairs(PURPOSES, (each) => word("purpose", each)), rule.purpose, text("rule.purpose.help")),
    textField("scale", text("rule.scale"), rule.scale.join(" – "), { help: text("rule.scale.help") }),
  ];
  return { kind, connection, list };
}

/** @param {ReturnType<typeof fieldsOf>} fields @param {any} rule */
async function saved(fields, rule) {
  const asked = askedBy(fields);
  const all = [fields.kind, fields.connection, ...fields.list];
  for (const each of all) each.mark("");
  try {
    return rule ? await send("PATCH", `rules/${encodeURIComponent(rule.id)}`, asked) : await send("POST", "rules", asked);
  } catch (wrong) {
    if (wrong instanceof Refused) marked(all, wrong.errors.map((each) => ({ ...each, pointer: each.pointer === "/text" ? "/text/nl" : each.pointer })));
    throw wrong;
  }
}

/** @param {ReturnType<typeof fieldsOf>} fields */
function askedBy({ kind, connection, list }) {
  const of = (/** @type {string} */ name) => String(list.find((each) => each.name === name)?.value() ?? "").trim();
  const said = (/** @type {string} */ name) => Object.fromEntries(LANGUAGES.map((each) => [each, of(`${name}/${each}`)]).filter(([, words]) => words));
  const scale = of("scale").match(/\d+/g)?.slice(0, 2).map(Number) ?? [];
  return {
    kind: kind.value(),
    connection: connection.value(),
    text: said("text"),
    subject: said("subject"),
    template: of("template"),
    values: of("values").split("\n").map((each) => each.trim()).filter(Boolean),
    purpose: of("purpose"),
    scale,
  };
}
