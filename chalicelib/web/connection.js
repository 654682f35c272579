/** One connection: how it stands, what it needs, and what can be done with it. */

import { get, send } from "./api.js";
import { made, providerOf, seldom, steps, unproven } from "./catalogue.js";
import { el, fill, icon } from "./dom.js";
import { Fields, textField } from "./form.js";
import { mappable, showMapping } from "./mapping.js";
import { attempt, badge, button, card, confirmed, copyField, facts, heading, poller, progress, say, when } from "./parts.js";
import { because, learn } from "./spoken.js";
import { nameOf, newestRefusal, refusedLately, standing, standingOf, verdicts } from "./standing.js";
import { count, text } from "./texts.js";

const SECONDS = 2;

/** Reasons of a refusal as the hub notes them, and the text that says how to mend it. The first that fits counts. */
const ADVICE = [
  [/ is configured$|^no signature header is set$/, "advice.unset"],
  [/timestamp|too old|in the future|is past/, "advice.clock"],
  [/^no |missing/, "advice.unsigned"],
  [/does not match|no signature matches/, "advice.secret"],
];

/** @param {HTMLElement} place @param {string} id @param {string} part @param {URLSearchParams} query */
export async function showConnection(place, id, part, query) {
  const path = `connections/${encodeURIComponent(id)}`;
  const { body: connection } = await get(path);
  const [provider] = await Promise.all([providerOf(connection.provider), learn("reasons")]);
  if (part === "mapping") return showMapping(place, connection, provider, query.get("receipt") ?? "");
  return showState(place, path, connection, provider);
}

/** @param {HTMLElement} place @param {string} path @param {any} connection @param {any} provider */
function showState(place, path, connection, provider) {
  const live = el("div", { class: "view-part" });
  let shown = "";
  const again = (/** @type {any} */ found) => {
    // Only what changed is drawn anew: the keyboard stays where it is.
    if (JSON.stringify(found) === shown) return;
    shown = JSON.stringify(found);
    fill(live, top(found, provider, reload), firstEvent(found, provider), refusals(found), stateOf(found));
  };
  const reload = async () => again((await get(path)).body);
  again(connection);
  const setup = steps(provider.setup, connection.hook_url ?? "");
  fill(place, live, connection.last_event_at ? folded(text("setup"), setup) : setup, mappingCard(connection, provider), settingsCard(path, connection, provider), secretsCard(path, connection, provider), historyCard(path, connection, provider), unproven(provider.unverified), deleteCard(path, connection));
  const poll = poller(reload, SECONDS);
  return () => poll.stop();
}

/** @param {string} title @param {HTMLElement | null} inside */
function folded(title, inside) {
  return inside && el("details", { class: "card more-fields" }, el("summary", {}, title), el("div", { class: "bare" }, ...inside.querySelectorAll(":scope > :not(h2)")));
}

/** @param {any} connection @param {any} provider @param {() => Promise<void>} reload */
function top(connection, provider, reload) {
  const path = `connections/${encodeURIComponent(connection.id)}`;
  const paused = connection.status === "paused";
  const test = button(text("connection.test"), () => void attempt(test, () => testing(path)), { drawn: "pulse" });
  const turn = button(text(paused ? "connection.resume" : "connection.pause"), () => void attempt(turn, async () => {
    await send("POST", `${path}/${paused ? "resume" : "pause"}`, {});
    await reload();
    say(text(paused ? "connection.resumed" : "connection.paused"));
  }));
  const about = el("span", { class: "marks" }, standing(connection), badge("", provider.name), connection.reason && el("span", { class: "soft" }, because(connection.reason)));
  const actions = [connection.hook_url && connection.status === "active" && test, connection.status !== "disabled" && turn];
  return heading(nameOf(connection), { about, back: ["#/connections", text("nav.connections")], actions: actions.filter(Boolean) });
}

/** @param {string} path */
async function testing(path) {
  const { receipt } = await send("POST", `${path}/test`, {});
  say(text("connection.tested"));
  // It is taken from the inbox in a moment; the view of receipts waits for it.
  location.hash = `#/receipts/${encodeURIComponent(receipt)}`;
}

/** Until something came, that is all that matters. @param {any} connection @param {any} provider */
function firstEvent(connection, provider) {
  if (!connection.hook_url) return null;
  const is = standingOf(connection);
  const address = copyField(text("hook"), connection.hook_url);
  const below = connection.settings.auth === "path" && el("p", { class: "soft" }, text("hook.path"));
  const receipts = el("a", { class: "plain", href: `#/receipts?connection=${encodeURIComponent(connection.id)}` }, icon("inbox"), text("connection.see"));
  if (is === "receiving") {
    const said = el("p", { class: "first", role: "status" }, icon("ok"), text("first.here"), " ", when(connection.last_event_at));
    return el("section", { class: "card good", "data-first": "here" }, said, receipts, address, below);
  }
  if (is !== "waiting") return el("section", { class: "card" }, address, below, receipts);
  const said = el("p", { class: "first", role: "status" }, el("span", { class: "dot warn breathing" }), text("first.waiting"));
  return el("section", { class: "card", "data-first": "waiting" }, said, el("p", { class: "soft" }, text("first.how", { name: provider.name })), address, below);
}

/** @param {any} connection */
function refusals(connection) {
  const newest = newestRefusal(connection);
  if (!newest) return null;
  const lately = refusedLately(connection);
  const [, advice] = ADVICE.find(([fits]) => /** @type {RegExp} */ (fits).test(newest.reason)) ?? [null, "advice.secret"];
  const list = el("ul", { class: "bullets" }, connection.refusals.map((/** @type {any} */ each) => el("li", {}, when(each.at), " · ", because(each.reason))));
  return el(
    "section", { class: `card ${lately ? "bad" : ""}`, "data-refusals": connection.refusals.length },
    el("h2", {}, text(lately ? "refusals" : "refusals.before")),
    el("p", {}, count("refusals.many", connection.refusals.length), " ", el("span", { class: "strong" }, because(newest.reason)), ", ", when(newest.at), "."),
    lately && el("p", { class: "strong" }, text(String(advice))),
    lately && el("p", {}, text("advice.then")),
    el("details", { class: "more-fields" }, el("summary", {}, text("refusals.all")), list, el("p", { class: "soft" }, text("refusals.note"))),
  );
}

/** @param {any} connection */
function stateOf(connection) {
  const asked = connection.catch_up;
  return card(
    text("connection.state"),
    facts([
      [text("connection.last"), connection.hook_url && when(connection.last_event_at)],
      [text("connection.counts"), connection.hook_url && verdicts(connection)],
      [text("connection.since"), when(connection.created_at)],
      [text("connection.id"), el("code", {}, connection.id)],
      [text("catch_up.last"), asked?.last && el("span", {}, when(asked.last), " · ", count("catch_up.found", asked.found))],
      [text("catch_up.reason"), asked?.reason && el("span", {}, because(asked.reason))],
    ]),
  );
}

/** @param {any} connection @param {any} provider */
function mappingCard(connection, provider) {
  if (!mappable(provider)) return null;
  const edit = el("a", { class: "plain", href: `#/connections/${encodeURIComponent(connection.id)}/mapping` }, text("mapping.edit"));
  return card(text("mapping"), el("p", { class: "soft" }, text(connection.mapping ? "mapping.there" : "mapping.none")), edit);
}

/** @param {string} path @param {any} connection @param {any} provider */
function settingsCard(path, connection, provider) {
  const name = textField("name", text("connection.name"), connection.name);
  const settings = new Fields("/settings", provider.settings, connection.settings);
  const go = el("button", { type: "submit", class: "main" }, text("save"));
  const common = seldom(provider.settings);
  const form = el(
    "form", { novalidate: true },
    el("div", { class: "fields" }, name.place, settings.places((each) => !common(each))),
    el("details", { class: "more-fields" }, el("summary", {}, text("settings.more")), el("div", { class: "fields" }, settings.places(common))),
    go,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(go, () => made(form, [settings], async () => {
      const values = settings.values();
      // What was emptied is taken back; what is not named would stay.
      const gone = Object.keys(connection.settings).filter((each) => !(each in values)).map((each) => [each, null]);
      const changed = await send("PATCH", path, { name: name.value() ?? "", settings: { ...values, ...Object.fromEntries(gone) } });
      connection.settings = changed.settings;
      say(text("saved"));
    }));
  });
  return el("details", { class: "card more-fields", id: "settings" }, el("summary", {}, text("connection.settings")), form);
}

/** @param {string} path @param {any} connection @param {any} provider */
function secretsCard(path, connection, provider) {
  if (Object.keys(provider.secrets.properties).length === 0) return null;
  const place = el("div", { class: "bare" });
  const known = (/** @type {Record<string, number>} */ secrets) => el("ul", { class: "marks" }, Object.entries(secrets).map(([name, n]) =>
    el("li", {}, badge("good", `${provider.secrets.properties[name]?.title ?? name} · ${count("secrets.valid", n)}`, "login"))));
  const draw = (/** @type {Record<string, number>} */ secrets) => fill(place, known(secrets), rotation(path, provider, draw));
  draw(connection.secrets);
  return el("details", { class: "card more-fields", id: "secrets" }, el("summary", {}, text("secrets")), place);
}

/** New secrets beside the old ones, so that nothing is refused meanwhile. @param {string} path @param {any} provider @param {(secrets: Record<string, number>) => void} done */
function rotation(path, provider, done) {
  const fields = new Fields("/secrets", { ...provider.secrets, required: [] });
  const keep = new Fields("", { properties: { keep_old: { type: "boolean", title: text("secrets.keep"), description: text("secrets.keep.help"), default: true } } });
  const go = el("button", { type: "submit", class: "main" }, text("secrets.rotate"));
  const form = el("form", { novalidate: true }, el("p", { class: "soft" }, text("secrets.how")), el("div", { class: "fields" }, fields.places()), keep.places(), go);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void attempt(go, () => made(form, [fields], async () => {
      const changed = await send("POST", `${path}/rotate`, { secrets: fields.values(), ...keep.values() });
      say(text("secrets.rotated"));
      done(changed.secrets);
    }));
  });
  return form;
}

/** Asking the provider for what never came, and telling a destination what was before. @param {string} path @param {any} connection @param {any} provider */
function historyCard(path, connection, provider) {
  const told = provider.kind !== "source" && rangeForm(path, "backfill", text("backfill.go"), text("backfill.about"));
  const asked = connection.catch_up && rangeForm(path, "catch-up", text("catch_up.go"), text("catch_up.about"));
  return (told || asked) && el("details", { class: "card more-fields" }, el("summary", {}, text("history")), told, asked);
}

/** @param {string} path @param {string} what @param {string} go @param {string} about */
function rangeForm(path, what, go, about) {
  const moment = (/** @type {string} */ label) => {
    const input = /** @type {HTMLInputElement} */ (el("input", { type: "datetime-local" }));
    return { input, place: el("label", {}, label, input), value: () => (input.value ? new Date(input.value).toISOString() : "") };
  };
  const since = moment(text("range.since"));
  const until = moment(text("range.until"));
  const job = el("div", { class: "bare" });
  const start = button(go, () => void attempt(start, async () => {
    const found = await send("POST", `${path}/${what}`, { since: since.value(), until: until.value() });
    fill(job, progress(found.job));
  }), { main: true });
  return el("div", { class: "range" }, el("p", { class: "soft" }, about), el("div", { class: "filters" }, since.place, until.place, start), job);
}

/** @param {string} path @param {any} connection */
function deleteCard(path, connection) {
  const go = button(text("connection.delete"), () => void attempt(go, async () => {
    const asked = { title: text("connection.delete.title", { name: nameOf(connection) }), said: text("connection.delete.said"), go: text("connection.delete"), danger: true };
    if (!(await confirmed(asked))) return;
    await send("DELETE", path);
    say(text("connection.deleted"));
    location.hash = "#/connections";
  }), { danger: true });
  return el("div", { class: "actions" }, go);
}
