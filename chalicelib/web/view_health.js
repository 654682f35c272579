/** Health: whether everything runs, why not, and what to do about it. */

import { get } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { late, onChange } from "./operate.js";
import { badge, card, everything, facts, heading, poller, table, when } from "./parts.js";
import { text, word } from "./texts.js";

const SECONDS = 5;
const QUEUES = ["inbox", "deliveries", "jobs"];

/** @type {import("./console.js").View["show"]} */
export async function show(place) {
  const parts = el("div", { class: "view-part" });
  const draw = onChange(parts);
  const names = await namesOf();
  const look = async () => {
    const { body } = await get("../health");
    draw(body, () => drawn(body, names));
  };
  fill(place, heading(text("nav.health"), { about: text("health.about") }), parts);
  await look();
  const poll = poller(look, SECONDS);
  return () => poll.stop();
}

/** What connections are called, for whoever may know: health itself tells their ids only. @returns {Promise<Map<string, string>>} */
async function namesOf() {
  const { body: me } = await get("me");
  const all = me.scopes.includes("integrate") ? await everything("connections", "connections") : [];
  return new Map(all.map((each) => [each.id, each.name || each.provider]));
}

/** @param {any} health @param {Map<string, string>} names */
function drawn(health, names) {
  const good = health.status === "ok";
  const said = el("section", { class: `card ${good ? "good" : "bad"}` }, el("p", { class: "first" }, icon(good ? "ok" : "parked"), text(good ? "health.good" : "health.bad")));
  return [said, ...health.causes.map((/** @type {any} */ each) => causeCard(each, names)), queues(health), rest(health)];
}

/** @param {any} cause @param {Map<string, string>} names */
function causeCard(cause, names) {
  return el(
    "section",
    { class: "card cause", "data-cause": cause.kind },
    el("h2", {}, saying(cause), names.has(cause.of) && el("span", { dir: "auto" }, `: ${names.get(cause.of)}`)),
    el("p", {}, el("strong", {}, text("health.do"), " "), word("runbook", cause.kind)),
    cause.kind === "connection" && names.size > 0 && el("p", {}, el("a", { href: `#/connections/${encodeURIComponent(cause.of)}` }, text("health.see"))),
    cause.kind === "dead_letters" && el("p", {}, el("a", { href: "#/jobs?status=failed" }, text("health.failed"))),
  );
}

/** @param {any} cause */
function saying(cause) {
  const of = word("queue_name", cause.of);
  switch (cause.kind) {
    case "dead_letters": return text("cause.dead_letters", { n: cause.count, of });
    case "queue_age": return text("cause.queue_age", { time: late(cause.seconds), of });
    case "stream_lag": return text("cause.stream_lag", { time: late(cause.seconds) });
    case "sweep": return text("cause.sweep", { time: late(cause.seconds) });
    case "connection": return text("cause.connection", { status: word("stopped", cause.status) });
    case "doctor": return text("cause.doctor", { n: cause.count });
    default: return cause.kind;
  }
}

/** @param {any} health */
function queues(health) {
  const shape = {
    heads: [text("queue"), text("queue.waiting"), text("queue.age"), text("queue.dead")],
    id: (/** @type {string} */ name) => name,
    row: (/** @type {string} */ name) => [
      el("span", {}, el("strong", {}, word("queue_name", name)), el("br"), el("span", { class: "soft" }, word("queue_about", name))),
      el("span", { class: "n" }, String(health.queues[name])),
      late(health.queue_age_seconds[name]),
      health.dead_letters[name] ? badge("bad", String(health.dead_letters[name])) : el("span", { class: "n" }, "0"),
    ],
  };
  return table(text("queues"), shape, QUEUES);
}

/** @param {any} health */
function rest(health) {
  return card(
    text("health.clock"),
    facts([
      [text("health.lag"), late(health.stream_lag_seconds)],
      [text("health.swept"), when(health.swept_at)],
      [text("health.doctor"), checked(health.doctor)],
    ]),
    el("p", { class: "soft" }, text("health.how")),
  );
}

/** When the stage's settings were last checked, and what came of it. @param {any} doctor */
function checked(doctor) {
  if (!doctor) return text("health.doctor_never");
  return el("span", {}, when(doctor.at), ` (${text("health.doctor_found", { n: doctor.wrong, m: doctor.cannot_tell })})`);
}
