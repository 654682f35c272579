/** Jobs: long work that runs and that ran, with how far it is and what failed. */

import { get, Refused } from "./api.js";
import { el, fill, icon } from "./dom.js";
import { choice, keptUp } from "./operate.js";
import { attempt, badge, card, facts, heading, List, progress, when } from "./parts.js";
import { because } from "./spoken.js";
import { count, text, word } from "./texts.js";

const SECONDS = 3;
const STATUSES = ["running", "done", "failed"];

/** @type {import("./console.js").View["show"]} */
export async function show(place, route) {
  return route.parts[0] ? showOne(place, route.parts[0]) : showAll(place, route.query.get("status") ?? "");
}

/** @param {HTMLElement} place @param {string} status */
async function showAll(place, status) {
  const asked = { status: STATUSES.includes(status) ? status : "" };
  const list = new List({
    label: text("nav.jobs"),
    empty: [icon("slow"), el("p", {}, text("jobs.none"))],
    shape: { heads: [text("jobs.began"), text("jobs.what"), text("status"), text("job.progress"), text("jobs.errors")], id: (/** @type {any} */ each) => each.id, row: rowOf },
    path: "jobs",
    name: "jobs",
    query: () => ({ ...asked }),
  });
  const change = (/** @type {string} */ value) => {
    asked.status = value;
    void attempt(list.place, () => list.reload());
  };
  const options = STATUSES.map((each) => /** @type {[string, string]} */ ([each, word("job_status", each)]));
  const filter = el("div", { class: "filters" }, choice(text("status"), [["", text("any")], ...options], asked.status, change));
  fill(place, heading(text("nav.jobs"), { about: text("jobs.about") }), filter, list.place);
  await list.reload();
  return keptUp(list, SECONDS);
}

/** @param {any} job */
function rowOf(job) {
  return [
    el("a", { href: `#/jobs/${encodeURIComponent(job.id)}` }, when(job.created_at)),
    word("job_kind", job.kind),
    standing(job),
    far(job),
    job.errors.length ? el("span", { class: "clip", dir: "auto" }, because(job.errors[0]), job.errors.length > 1 && ` (+${job.errors.length - 1})`) : "",
  ];
}

/** @param {any} job */
function standing(job) {
  const kind = job.status === "failed" ? "bad" : job.status === "running" ? "" : job.errors.length ? "warn" : "good";
  return badge(kind, word("job_status", job.status));
}

/** @param {any} job */
function far(job) {
  if (job.total === null) return count("job.done", job.done);
  const bar = el("progress", { max: Math.max(job.total, 1), value: Math.min(job.done, job.total), "aria-label": text("job.progress") });
  return el("span", { class: "bare" }, bar, text("job.done_of", { done: job.done, total: job.total }));
}

/** @param {HTMLElement} place @param {string} id */
async function showOne(place, id) {
  const job = await found(id);
  // The list tells integrators of all jobs; what an admin asked for only admins may open.
  if (!job) return fill(place, heading(text("nav.jobs"), { back: ["#/jobs", text("nav.jobs")] }), el("p", {}, text("jobs.of_admins")));
  const errors = el("div", { class: "bare" }, mistakes(job));
  const about = facts([
    [text("jobs.began"), when(job.created_at)],
    [text("connection.id"), el("code", {}, job.id)],
    [text("customer"), job.customer && el("code", {}, job.customer)],
    [text("reason"), job.reason],
    ...Object.entries(job.counts ?? {}).map(([what, n]) => /** @type {[string, string]} */ ([word("drift_kind", what), String(n)])),
  ]);
  const ended = (/** @type {any} */ over) => fill(errors, mistakes(over));
  fill(place, heading(word("job_kind", job.kind), { back: ["#/jobs", text("nav.jobs")] }), card("", progress(id, ended)), card(text("details"), about), errors);
}

/** @param {string} id @returns {Promise<any>} null when this key may not see it */
async function found(id) {
  try {
    return (await get(`jobs/${encodeURIComponent(id)}`)).body;
  } catch (wrong) {
    if (wrong instanceof Refused && wrong.status === 403) return null;
    throw wrong;
  }
}

/** @param {any} job */
function mistakes(job) {
  if (!job.errors.length) return null;
  return el("section", { class: "card bad" }, el("h2", {}, text("jobs.errors")), el("ul", { class: "bullets" }, job.errors.map((/** @type {string} */ each) => el("li", { dir: "auto" }, because(each)))));
}
