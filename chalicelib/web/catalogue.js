/** The catalogue of what can be connected, and the form for a new connection. */

import { get, Refused, send } from "./api.js";
import { el, fill, icon, link } from "./dom.js";
import { Fields, NotFilledIn, textField } from "./form.js";
import { attempt, badge, card, everything, heading, say } from "./parts.js";
import { because, learn, spoken } from "./spoken.js";
import { count, text, word } from "./texts.js";

/** @typedef {import("./form.js").Schema} Schema */

/** Settings that every provider has, by the names that the catalogue gives them: seldom needed, so folded. */
export const COMMON = [
  "account", "base_url", "concurrency", "field_priority", "own_system", "rate_limit", "rate_seconds",
  "receipt_retention_days", "ref_scopes", "region", "retention_days",
];
/** What decides which of many settings matter. */
const FIRST = ["auth", "header", "channel"];
const MANY = 8;
const PROVEN = { "live-proven": "good", "vendor vector": "good", documented: "sure", unverified: "warn" };

/** @param {HTMLElement} place @param {import("./console.js").Route} route */
export async function showCatalogue(place, route) {
  const [all] = await Promise.all([everything("providers", "providers"), learn("catalogue")]);
  const cards = el("ul", { class: "catalogue" });
  const found = el("p", { class: "soft", role: "status" });
  const search = /** @type {HTMLInputElement} */ (el("input", { type: "search", id: "search", autocomplete: "off", input: () => again() }));
  search.value = route.query.get("q") ?? "";
  const selects = {
    kind: select("provider_kind", all.map((each) => each.kind), () => again()),
    channel: select("channel", all.flatMap((each) => each.channels), () => again()),
    grade: select("grade", all.map((each) => each.grade), () => again()),
  };
  const again = () => {
    const shown = all.filter((each) => fits(each, search.value, selects));
    fill(cards, shown.map(cardOf));
    found.textContent = shown.length ? count("catalogue.found", shown.length) : text("catalogue.none");
  };
  const filters = el(
    "div", { class: "filters", role: "search" },
    el("label", { for: "search" }, text("catalogue.search"), search),
    el("label", {}, text("catalogue.kind"), selects.kind), el("label", {}, text("catalogue.channel"), selects.channel), el("label", {}, text("catalogue.grade"), selects.grade),
  );
  fill(place, heading(text("catalogue"), { about: text("catalogue.about"), back: ["#/connections", text("nav.connections")] }), filters, found, cards);
  again();
}

/** @param {string} family @param {string[]} values @param {() => void} change */
function select(family, values, change) {
  const options = [...new Set(values)].map((value) => [value, word(family, value)]).sort((a, b) => a[1].localeCompare(b[1]));
  return /** @type {HTMLSelectElement} */ (
    el("select", { change }, el("option", { value: "" }, text("any")), options.map(([value, said]) => el("option", { value }, said)))
  );
}

/** @param {any} each @param {string} asked @param {Record<string, HTMLSelectElement>} selects */
function fits(each, asked, { kind, channel, grade }) {
  const words = `${each.name} ${nameOf(each)} ${each.slug} ${each.channels.join(" ")} ${each.event_types.join(" ")}`.toLowerCase();
  const both = kind.value && each.kind === "both" && kind.value !== "both";
  return (
    asked.toLowerCase().split(/\s+/).every((part) => words.includes(part)) &&
    (!kind.value || each.kind === kind.value || both) &&
    (!channel.value || each.channels.includes(channel.value)) &&
    (!grade.value || each.grade === grade.value)
  );
}

/** A provider with the form that it needs, in the reader's language. @param {string} slug */
export async function providerOf(slug) {
  const [{ body }] = await Promise.all([get(`providers/${encodeURIComponent(slug)}`), learn("catalogue")]);
  return { ...body, name: nameOf(body), settings: inOurWords(body.settings), secrets: inOurWords(body.secrets) };
}

/** Most are brands, which no language changes. @param {any} provider */
const nameOf = (provider) => spoken(provider.name).said;

/** @param {Schema} schema @returns {Schema} */
function inOurWords(schema) {
  const properties = Object.entries(schema.properties).map(([name, each]) => {
    const [title, description] = [spoken(each.title), spoken(each.description)];
    return [name, { ...each, title: title.said, description: description.said, lang: title.lang ?? description.lang }];
  });
  return { ...schema, properties: Object.fromEntries(properties) };
}

/** @param {any} each */
function cardOf(each) {
  const channels = [...new Set(each.channels)].map((channel) => el("span", { class: "channel" }, icon(channel), word("channel", channel)));
  return el(
    "li", { class: "provider" },
    el("a", { href: `#/connections/new/${encodeURIComponent(each.slug)}` }, nameOf(each)),
    el("p", { class: "marks" }, badge("", word("provider_kind", each.kind)), gradeOf(each.grade)),
    channels.length > 0 && el("p", { class: "channels soft" }, channels.slice(0, 4), channels.length > 4 && `+${channels.length - 4}`),
  );
}

/** @param {string} grade */
const gradeOf = (grade) => badge(PROVEN[grade] ?? "", word("grade", grade));

/** @param {HTMLElement} place @param {string} slug */
export async function showNew(place, slug) {
  const provider = await providerOf(slug);
  const about = el("span", { class: "marks" }, badge("", word("provider_kind", provider.kind)), gradeOf(provider.grade), link(provider.docs, text("provider.docs")));
  fill(
    place,
    heading(text("connections.connect", { name: provider.name }), { about, back: ["#/connections/new", text("catalogue")] }),
    steps(provider.setup, ""),
    formOf(provider),
    unproven(provider.unverified),
  );
}

/** @param {string[]} setup @param {string} hook the address that a step may name, if it is there already */
export function steps(setup, hook) {
  if (setup.length === 0) return null;
  const parts = (/** @type {string} */ step) => step.split("{hook_url}").flatMap((part, at) => (at ? [hook ? el("code", {}, hook) : el("em", {}, text("setup.hook")), part] : [part]));
  return card(text("setup"), el("ol", { class: "steps" }, setup.map(spoken).map(({ said, lang }) => el("li", { lang }, parts(said)))));
}

/** @param {string[]} facts */
export function unproven(facts) {
  if (facts.length === 0) return null;
  return el("details", { class: "card more-fields" }, el("summary", {}, text("provider.unverified")), el("ul", { class: "bullets" }, facts.map(spoken).map(({ said, lang }) => el("li", { lang }, said))));
}

/** @param {any} provider */
function formOf(provider) {
  const name = textField("name", text("connection.name"), provider.name, { help: text("connection.name.help") });
  const secrets = new Fields("/secrets", provider.secrets);
  const settings = new Fields("/settings", provider.settings);
  const template = templateField(provider.templates);
  const common = seldom(provider.settings);
  const go = el("button", { type: "submit", class: "main" }, text("connections.make"));
  const form = el(
    "form", { class: "card connect", novalidate: true },
    el("div", { class: "fields" }, name.place, template?.place, secrets.places(), settings.places((each) => !common(each))),
    el("details", { class: "more-fields" }, el("summary", {}, text("settings.more")), el("div", { class: "fields" }, settings.places(common))),
    el("p", { class: "soft" }, text("secrets.kept")),
    go,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(go, () => made(form, [secrets, settings], async () => {
      const mapping = provider.templates[template?.chosen() ?? ""];
      const sent = { provider: provider.slug, name: name.value() ?? "", settings: settings.values(), secrets: secrets.values() };
      const connection = await send("POST", "connections", mapping ? { ...sent, mapping } : sent);
      location.hash = `#/connections/${encodeURIComponent(connection.id)}`;
    }));
  });
  return form;
}

/** Which settings are folded. @param {Schema} schema @returns {(name: string) => boolean} */
export function seldom({ properties, required = [] }) {
  const own = Object.keys(properties).filter((each) => !COMMON.includes(each));
  const shown = new Set([...required, ...(own.length > MANY ? own.filter((each) => FIRST.includes(each)) : own)]);
  return (name) => !shown.has(name);
}

/** @param {Record<string, unknown>} templates */
function templateField(templates) {
  const names = Object.keys(templates);
  if (names.length === 0) return null;
  const options = names.map((each) => el("option", { value: each }, word("template_name", each)));
  const chosen = /** @type {HTMLSelectElement} */ (el("select", { id: "template" }, el("option", { value: "" }, text("template.none")), options));
  const place = el("div", { class: "field wide" }, el("label", { for: "template" }, text("template")), chosen, el("p", { class: "help" }, text("template.help")));
  return { place, chosen: () => chosen.value };
}

/**
 * Sends a form, and shows each mistake where it was made.
 * @param {HTMLElement} form @param {Fields[]} groups @param {() => Promise<void>} work
 */
export async function made(form, groups, work) {
  for (const each of groups) each.mark([]);
  try {
    await work();
    return true;
  } catch (wrong) {
    const errors = wrong instanceof Refused ? wrong.errors : [];
    await learn("reasons");
    if (!(wrong instanceof NotFilledIn) && errors.length === 0) throw wrong;
    // What was not even sent is marked already, by the field itself.
    if (errors.length) for (const each of groups) each.mark(errors);
    const rest = errors.filter((error) => !groups.some((each) => error.pointer.startsWith(`${each.pointer}/`)));
    say([text("field.mistakes"), ...rest.flatMap((error) => [` ${error.pointer} `, ...because(error.detail)])], "bad");
    showFirst(form);
    return false;
  }
}

/** @param {HTMLElement} form */
function showFirst(form) {
  const first = /** @type {HTMLElement | null} */ (form.querySelector('[aria-invalid="true"]'));
  const folded = /** @type {HTMLDetailsElement | null} */ (first?.closest("details") ?? null);
  if (folded) folded.open = true;
  first?.focus();
}
