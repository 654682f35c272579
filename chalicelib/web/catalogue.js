/** The catalogue of what can be connected, and the form for a new connection. */

import { get, Refused, send } from "./api.js";
import { el, fill, icon, link } from "./dom.js";
import { Fields, NotFilledIn, textField } from "./form.js";
import { attempt, badge, card, everything, heading, say } from "./parts.js";
import { count, text, word } from "./texts.js";

/** Settings that every provider has, by the names that the catalogue gives them: seldom needed, so folded. */
export const COMMON = [
  "account", "base_url", "concurrency", "field_priority", "own_system", "rate_limit", "rate_seconds",
  "receipt_retention_days", "ref_scopes", "region", "retention_days",
];
const PROVEN = { "live-proven": "good", "vendor vector": "good", documented: "sure", unverified: "warn" };

/** @param {HTMLElement} place @param {import("./console.js").Route} route */
export async function showCatalogue(place, route) {
  const all = await everything("providers", "providers");
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
  const words = `${each.name} ${each.slug} ${each.channels.join(" ")} ${each.event_types.join(" ")}`.toLowerCase();
  const both = kind.value && each.kind === "both" && kind.value !== "both";
  return (
    asked.toLowerCase().split(/\s+/).every((part) => words.includes(part)) &&
    (!kind.value || each.kind === kind.value || both) &&
    (!channel.value || each.channels.includes(channel.value)) &&
    (!grade.value || each.grade === grade.value)
  );
}

/** @param {any} each */
function cardOf(each) {
  const channels = [...new Set(each.channels)].map((channel) => el("span", { class: "channel" }, icon(channel), word("channel", channel)));
  return el(
    "li", { class: "provider" },
    el("a", { href: `#/connections/new/${encodeURIComponent(each.slug)}` }, each.name),
    el("p", { class: "marks" }, badge("", word("provider_kind", each.kind)), gradeOf(each.grade)),
    channels.length > 0 && el("p", { class: "channels soft" }, channels.slice(0, 4), channels.length > 4 && `+${channels.length - 4}`),
  );
}

/** @param {string} grade */
const gradeOf = (grade) => badge(PROVEN[grade] ?? "", word("grade", grade));

/** @param {HTMLElement} place @param {string} slug */
export async function showNew(place, slug) {
  const { body: provider } = await get(`providers/${encodeURIComponent(slug)}`);
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
  return card(text("setup"), el("ol", { class: "steps", lang: "en" }, setup.map((step) => el("li", {}, parts(step)))));
}

/** @param {string[]} facts */
export function unproven(facts) {
  if (facts.length === 0) return null;
  return el("details", { class: "card more-fields" }, el("summary", {}, text("provider.unverified")), el("ul", { class: "bullets", lang: "en" }, facts.map((fact) => el("li", {}, fact))));
}

/** @param {any} provider */
function formOf(provider) {
  const name = textField("name", text("connection.name"), provider.name, { help: text("connection.name.help") });
  const secrets = new Fields("/secrets", provider.secrets);
  const settings = new Fields("/settings", provider.settings);
  const template = templateField(provider.templates);
  const needed = new Set(provider.settings.required);
  const common = (/** @type {string} */ each) => COMMON.includes(each) && !needed.has(each);
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

/** @param {Record<string, unknown>} templates */
function templateField(templates) {
  const names = Object.keys(templates);
  if (names.length === 0) return null;
  const options = names.map((each) => el("option", { value: each }, each.replaceAll("_", " ")));
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
    if (!(wrong instanceof NotFilledIn) && errors.length === 0) throw wrong;
    const shown = groups.map((each) => each.mark(errors)).reduce((a, b) => a + b, 0);
    const rest = errors.filter((error) => !groups.some((each) => error.pointer.startsWith(`${each.pointer}/`)));
    say([text("field.mistakes"), ...rest.map((error) => `${error.pointer} ${error.detail}`)].join(" "), "bad");
    showFirst(form, shown > 0 || wrong instanceof NotFilledIn);
    return false;
  }
}

/** @param {HTMLElement} form @param {boolean} marked */
function showFirst(form, marked) {
  const first = /** @type {HTMLElement | null} */ (marked ? form.querySelector('[aria-invalid="true"]') : null);
  const folded = /** @type {HTMLDetailsElement | null} */ (first?.closest("details") ?? null);
  if (folded) folded.open = true;
  first?.focus();
}
