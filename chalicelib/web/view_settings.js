/** Settings of the organisation: what is its own, how it can be reached, limits, how long things are kept. */

import { get, Refused, send } from "./api.js";
import { el, fill } from "./dom.js";
import { textField } from "./form.js";
import { connectionName, linesField, marked, receivers, selectField } from "./operate.js";
import { attempt, card, heading, progress, say } from "./parts.js";
import { text } from "./texts.js";

const LISTS = ["own", "roles", "blocked"];
const NUMBERS = ["limit", "cap", "retention_days", "receipt_retention_days"];

/** @type {import("./console.js").View["show"]} */
export async function show(place) {
  const [{ body: settings }, told] = await Promise.all([get("settings"), receivers()]);
  const fields = fieldsOf(settings, told);
  const by = new Map(fields.map((each) => [each.name, each]));
  const part = (/** @type {string} */ title, /** @type {string[]} */ names) => card(title, el("div", { class: "fields" }, names.map((name) => by.get(name)?.place)));
  const shown = el("div", { class: "bare", role: "status" });
  const save = el("button", { type: "submit", class: "main" }, text("save"));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    void attempt(save, async () => {
      const { job } = await saved(fields);
      say(text("saved"));
      fill(shown, job && card(text("settings.applies"), progress(job)));
    });
  };
  const form = el(
    "form",
    { class: "bare", submit },
    part(text("settings.ours"), ["own", "roles", "blocked", "region"]),
    part(text("settings.reach"), ["channels", "login_url"]),
    part(text("settings.limits"), ["limit", "cap"]),
    part(text("settings.kept"), ["retention_days", "receipt_retention_days"]),
    part(text("settings.alerts"), ["alerts"]),
    el("div", { class: "actions" }, save),
    shown,
  );
  fill(place, heading(text("nav.settings"), { about: text("settings.about") }), form);
}

/** @param {any} settings @param {Map<string, any>} told @returns {import("./form.js").Field[]} */
function fieldsOf(settings, told) {
  const systems = [...told.keys()].map((id) => /** @type {[string, string]} */ ([id, connectionName(told, id)]));
  const channels = Object.entries(settings.channels).map(([channel, address]) => `${channel}: ${address}`).join("\n");
  return [
    linesField("own", text("settings.own"), settings.own.join("\n"), text("settings.own.help"), 4),
    linesField("roles", text("settings.roles"), settings.roles.join("\n"), text("settings.roles.help"), 4),
    linesField("blocked", text("settings.blocked"), settings.blocked.join("\n"), text("settings.blocked.help"), 4),
    textField("region", text("settings.region"), settings.region, { help: text("settings.region.help") }),
    linesField("channels", text("settings.channels"), channels, text("settings.channels.help"), 4),
    textField("login_url", text("settings.login_url"), settings.login_url, { help: text("settings.login_url.help") }),
    textField("limit", text("settings.limit"), settings.limit, { help: text("settings.limit.help") }),
    textField("cap", text("settings.cap"), settings.cap, { help: text("settings.cap.help") }),
    textField("retention_days", text("settings.retention"), settings.retention_days, { help: text("settings.retention.help") }),
    textField("receipt_retention_days", text("settings.receipts"), settings.receipt_retention_days, { help: text("settings.retention.help") }),
    selectField("alerts", text("settings.alerts.to"), [["", text("settings.alerts.nobody")], ...systems], settings.alerts, text("settings.alerts.help")),
  ];
}

/** @param {import("./form.js").Field[]} fields */
async function saved(fields) {
  for (const each of fields) each.mark("");
  try {
    return await send("PATCH", "settings", Object.fromEntries(fields.map((each) => [each.name, valueOf(each)])));
  } catch (wrong) {
    if (wrong instanceof Refused) marked(fields, wrong.errors);
    throw wrong;
  }
}

/** As the API wants it; what is no number goes as it is, and comes back marked. @param {import("./form.js").Field} field */
function valueOf(field) {
  const typed = String(field.value() ?? "").trim();
  if (LISTS.includes(field.name)) return lines(typed);
  if (field.name === "channels") return Object.fromEntries(lines(typed).map(parted));
  if (!NUMBERS.includes(field.name)) return typed;
  return /^\d+$/.test(typed) ? Number(typed) : typed;
}

/** @param {string} typed */
const lines = (typed) => typed.split("\n").map((each) => each.trim()).filter(Boolean);

/** `whatsapp: +31201112233` in two. @param {string} line */
function parted(line) {
  const [channel, ...address] = line.split(":");
  return [channel.trim().toLowerCase(), address.join(":").trim()];
}
