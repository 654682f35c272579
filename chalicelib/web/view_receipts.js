/** Receipts: everything that arrived, newest first; one of them; and doing a range of them again. */

import { send } from "./api.js";
import { el, fill } from "./dom.js";
import { attempt, button, complain, confirmed, everything, heading, List, poller, progress, when } from "./parts.js";
import { showReceipt, summary, verdictOf } from "./receipt.js";
import { because } from "./spoken.js";
import { text, word } from "./texts.js";

const SECONDS = 3;
const HOUR_MS = 3_600_000;
/** How far the list looks back, in hours. @type {[string, string][]} */
const SPANS = [["1", "span.hour"], ["24", "span.day"], ["168", "span.week"], ["720", "span.month"]];
const USUAL = "168";
const VERDICTS = ["accepted", "duplicate", "ignored", "malformed", "failed"];

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  const connections = new Map((await everything("connections", "connections")).map((each) => [each.id, each]));
  const [id] = route.parts;
  return id ? showReceipt(place, id, connections) : showAll(place, route.query, connections);
}

/** @param {HTMLElement} place @param {URLSearchParams} query @param {Map<string, any>} connections */
async function showAll(place, query, connections) {
  const named = [...connections.values()].filter((each) => each.hook_url).map((each) => /** @type {[string, string]} */ ([each.id, each.name || each.provider]));
  const pick = {
    connection: picker("connection", text("connection"), [["", text("any")], ...named], query.get("connection") ?? ""),
    verdict: picker("verdict", text("receipt.verdict"), [["", text("any")], ...VERDICTS.map((each) => /** @type {[string, string]} */ ([each, word("verdict", each)]))], query.get("verdict") ?? ""),
    span: picker("span", text("span"), SPANS.map(([hours, said]) => /** @type {[string, string]} */ ([hours, text(said)])), query.get("span") ?? USUAL),
  };
  const asked = () => ({ connection: pick.connection.input.value, verdict: pick.verdict.input.value, since: new Date(Date.now() - Number(pick.span.input.value) * HOUR_MS).toISOString() });
  const list = listOf(connections, asked);
  const again = el("div", { class: "bare" });
  const choose = () => {
    remember(pick);
    fill(again, replaying(pick.connection.input.value, asked));
    list.reload().catch(complain);
  };
  for (const each of Object.values(pick)) each.input.addEventListener("change", choose);
  fill(place, heading(text("nav.receipts"), { about: text("receipts.about") }), el("div", { class: "filters" }, Object.values(pick).map((each) => each.place)), list.place, again);
  fill(again, replaying(pick.connection.input.value, asked));
  await list.reload();
  const poll = poller(() => list.refresh(), SECONDS);
  return () => poll.stop();
}

/** @param {string} id @param {string} label @param {[string, string][]} options @param {string} value */
function picker(id, label, options, value) {
  const input = /** @type {HTMLSelectElement} */ (el("select", { id }, options.map(([each, said]) => el("option", { value: each }, said))));
  input.value = options.some(([each]) => each === value) ? value : options[0][0];
  return { input, place: el("label", { for: id }, label, input) };
}

/** The address says what is shown, so that it can be kept and passed on. @param {Record<string, {input: HTMLSelectElement}>} pick */
function remember(pick) {
  const query = new URLSearchParams();
  for (const [name, { input }] of Object.entries(pick)) if (input.value && !(name === "span" && input.value === USUAL)) query.set(name, input.value);
  history.replaceState(null, "", `#/receipts${query.size ? `?${query}` : ""}`);
}

/** @param {Map<string, any>} connections @param {() => Record<string, string>} query */
function listOf(connections, query) {
  const name = (/** @type {any} */ each) => connections.get(each.connection)?.name || connections.get(each.connection)?.provider || each.connection;
  return new List({
    label: text("nav.receipts"),
    empty: text("receipts.none"),
    path: "receipts",
    name: "receipts",
    query,
    shape: {
      heads: [text("receipt.at"), text("connection"), text("receipt.verdict"), text("receipt.events")],
      id: (/** @type {any} */ each) => each.id,
      row: (/** @type {any} */ each) => [
        el("a", { href: `#/receipts/${encodeURIComponent(each.id)}` }, when(each.received_at)),
        el("span", { dir: "auto" }, name(each)),
        el("span", { class: "marks" }, verdictOf(each.verdict), each.test && el("span", { class: "tag" }, text("receipt.test"))),
        each.reason ? el("span", {}, summary(each), " ", el("span", { class: "reason" }, because(each.reason))) : summary(each),
      ],
    },
  });
}

/** @param {string} connection @param {() => Record<string, string>} asked */
function replaying(connection, asked) {
  if (!connection) return el("p", { class: "soft" }, text("replay.choose"));
  const job = el("div", { class: "bare" });
  const go = button(text("replay.range"), () => void attempt(go, async () => {
    const sure = await confirmed({ title: text("replay.title"), said: text("replay.said"), go: text("replay.range") });
    if (!sure) return;
    const found = await send("POST", "receipts/replay", { connection, since: asked().since });
    fill(job, progress(found.job));
  }), { drawn: "again" });
  return el("div", { class: "bare" }, el("div", { class: "actions" }, go), job);
}
