/** Audiences: which customers a campaign may reach, and taking them along. */

import { get, pages, Refused, send } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { textField } from "./form.js";
import { isoOf, linesField, marked, momentField, receivers, selectField } from "./operate.js";
import { attempt, badge, button, card, confirmed, everything, heading, progress, say, table } from "./parts.js";
import { text, word } from "./texts.js";

const LISTS = ["consent", "channels"];
const MOMENTS = ["contact_since", "contact_before", "orders_none_since"];
const FORMATS = { csv: "text/csv", jsonl: "application/jsonl" };

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const [{ body: me }, all] = await Promise.all([get("me"), everything("audiences", "audiences")]);
  const admin = me.scopes.includes("admin");
  const [first] = route.parts;
  if (!first) return showAll(place, all, admin);
  const audience = all.find((each) => each.id === first);
  if (!admin || (first !== "new" && !audience)) throw new Refused(404, "");
  showForm(place, audience ?? { name: "", consent: [], channels: [], orders_least: 0 }, await receivers());
}

/** @param {HTMLElement} place @param {any[]} all @param {boolean} admin */
function showAll(place, all, admin) {
  const add = admin && el("a", { class: "main", href: "#/audiences/new" }, icon("crm"), text("audience.new"));
  const rows = el("div", { class: "list" });
  const shown = el("div", { class: "bare" });
  const draw = () => fill(rows, all.length ? listed(all, admin, shown, draw) : el("div", { class: "empty" }, icon("crm"), el("p", {}, text("audiences.none"))));
  fill(place, heading(text("nav.audiences"), { about: text("audiences.about"), actions: add ? [add] : [] }), shown, rows);
  draw();
}

/** @param {any[]} all @param {boolean} admin @param {HTMLElement} shown @param {() => void} draw */
function listed(all, admin, shown, draw) {
  const named = (/** @type {any} */ each) => (admin ? el("a", { href: `#/audiences/${encodeURIComponent(each.id)}`, dir: "auto" }, each.name) : el("span", { class: "strong", dir: "auto" }, each.name));
  const shape = {
    heads: [text("audience.name"), text("audience.consent"), text("audience.channels"), text("audience.take")],
    id: (/** @type {any} */ each) => each.id,
    row: (/** @type {any} */ each) => [
      named(each),
      el("span", { class: "marks" }, each.consent.map((/** @type {string} */ one) => badge("", one))),
      each.channels.map((/** @type {string} */ one) => word("channel", one)).join(", ") || text("any"),
      el("span", { class: "actions" }, exporter(each, shown), admin && remover(each, all, draw)),
    ],
  };
  return table(text("nav.audiences"), shape, all);
}

/** @param {any} audience @param {HTMLElement} shown */
function exporter(audience, shown) {
  const press = button(text("audience.export"), () => void attempt(press, async () => {
    const { job } = await send("POST", `audiences/${encodeURIComponent(audience.id)}/export`);
    const ready = el("div", { class: "actions" });
    fill(shown, card(text("audience.exporting", { name: audience.name }), progress(job, (over) => over.status === "done" && fill(ready, downloads(audience, job))), ready));
  }));
  return press;
}

/** @param {any} audience @param {string} job */
function downloads(audience, job) {
  return Object.entries(FORMATS).map(([format, type]) => {
    const press = button(text("audience.download", { format: format.toUpperCase() }), () => void attempt(press, async () => {
      const parts = await pages(`audiences/${encodeURIComponent(audience.id)}/exports/${encodeURIComponent(job)}`, { format, limit: 200 });
      save(new Blob(parts, { type }), `audience.${format}`);
    }), { main: format === "csv" });
    return press;
  });
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const href = URL.createObjectURL(blob);
  el("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60_000);
}

/** @param {any} audience @param {any[]} all @param {() => void} draw */
function remover(audience, all, draw) {
  const press = async () => {
    if (!(await confirmed({ title: text("audience.remove.title", { name: audience.name }), said: text("audience.remove.said"), go: text("audience.remove"), danger: true }))) return;
    await attempt(remove, async () => {
      await send("DELETE", `audiences/${encodeURIComponent(audience.id)}`);
      all.splice(all.indexOf(audience), 1);
      draw();
    });
  };
  const remove = button(text("audience.remove"), () => void press(), { danger: true });
  return remove;
}

/** @param {HTMLElement} place @param {any} audience @param {Map<string, any>} told */
function showForm(place, audience, told) {
  const fields = fieldsOf(audience, told);
  const go = el("button", { type: "submit", class: "main" }, text("save"));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void attempt(go, async () => {
      await saved(fields, audience.id);
      say(text("saved"));
      location.hash = "#/audiences";
    });
  };
  const form = el("form", { class: "bare", submit }, el("section", { class: "card" }, el("div", { class: "fields" }, fields.map((each) => each.place))), el("div", { class: "actions" }, go, el("a", { class: "plain", href: "#/audiences" }, text("cancel"))));
  fill(place, heading(audience.name || text("audience.new"), { back: ["#/audiences", text("nav.audiences")], about: text("audience.rule") }), form);
}

/** @param {any} audience @param {Map<string, any>} told @returns {import("./form.js").Field[]} */
function fieldsOf(audience, told) {
  const feeds = [...told.values()].filter((each) => each.catalogue?.takes_audiences).map((each) => /** @type {[string, string]} */ ([each.id, each.name || each.provider]));
  return [
    textField("name", text("audience.name"), audience.name, { required: true }),
    selectField("feed", text("audience.feed"), [["", text("audience.no_feed")], ...feeds], audience.feed ?? "", text("audience.feed.help")),
    linesField("consent", text("audience.consent"), audience.consent.join("\n"), text("audience.consent.help"), 2),
    linesField("channels", text("audience.channels"), audience.channels.join("\n"), text("audience.channels.help"), 2),
    momentField("contact_since", text("audience.contact_since"), audience.contact_since ?? ""),
    momentField("contact_before", text("audience.contact_before"), audience.contact_before ?? ""),
    textField("orders_least", text("audience.orders_least"), audience.orders_least),
    momentField("orders_none_since", text("audience.orders_none_since"), audience.orders_none_since ?? ""),
    textField("filter", text("audience.filter"), audience.filter ?? "", { help: text("audience.filter.help") }),
  ];
}

/** @param {import("./form.js").Field[]} fields @param {string | undefined} id */
async function saved(fields, id) {
  for (const each of fields) each.mark("");
  const asked = Object.fromEntries(fields.map((each) => [each.name, valueOf(each)]));
  try {
    return id ? await send("PATCH", `audiences/${encodeURIComponent(id)}`, asked) : await send("POST", "audiences", asked);
  } catch (wrong) {
    if (wrong instanceof Refused) marked(fields, wrong.errors);
    throw wrong;
  }
}

/** @param {import("./form.js").Field} field */
function valueOf(field) {
  const typed = String(field.value() ?? "").trim();
  if (LISTS.includes(field.name)) return typed.split("\n").map((each) => each.trim()).filter(Boolean);
  if (MOMENTS.includes(field.name)) return isoOf(typed);
  if (field.name !== "orders_least") return typed;
  return typed === "" ? 0 : /^\d+$/.test(typed) ? Number(typed) : typed;
}
