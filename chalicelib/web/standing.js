/** How a connection stands, in a few words and one colour. */

import { el, icon } from "./dom.js";
import { locale, text, word } from "./texts.js";

/** The verdicts that say that something is wrong. */
const BAD = ["malformed", "failed"];

/** @param {any} connection */
export const nameOf = (connection) => connection.name || connection.provider;

/** @param {any} connection @returns {"waiting" | "receiving" | "active" | "paused" | "disabled"} */
export function standingOf(connection) {
  if (connection.status !== "active") return connection.status;
  if (!connection.hook_url) return "active";
  return connection.last_event_at ? "receiving" : "waiting";
}

const LOOK = { waiting: ["warn", "slow"], receiving: ["good", "ok"], active: ["good", "ok"], paused: ["warn", "parked"], disabled: ["bad", "parked"] };

/** A mark that turns green with the first event. @param {any} connection */
export function standing(connection) {
  const is = standingOf(connection);
  const [kind, drawn] = LOOK[is] ?? ["", "dot"];
  return el("span", { class: `tag ${kind}`, "data-standing": is }, icon(drawn), word("standing", is));
}

/** The newest refusal, or nothing. @param {any} connection */
export const newestRefusal = (connection) => connection.refusals?.[0] ?? null;

/** Whether the last that came was refused: what was mended since needs no mark. @param {any} connection */
export function refusedLately(connection) {
  const newest = newestRefusal(connection);
  return newest !== null && newest.at > (connection.last_event_at ?? "");
}

/** How many of the newest came to what, each a link to them. @param {any} connection */
export function verdicts(connection) {
  const links = Object.entries(connection.counts).map(([verdict, n]) =>
    el(
      "a",
      { class: `verdict ${BAD.includes(verdict) ? "bad" : ""}`, href: `#/receipts?connection=${encodeURIComponent(connection.id)}&verdict=${verdict}` },
      `${n.toLocaleString(locale())} ${word("verdict", verdict)}`,
    ),
  );
  return links.length ? el("span", { class: "marks" }, links) : el("span", { class: "soft" }, text("connection.counts.none"));
}
