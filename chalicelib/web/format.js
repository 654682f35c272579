/** Times, amounts and durations as the reader writes them. All times are the viewer's own zone. */

import { locale, text } from "./texts.js";

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;
/** By how much clocks may differ. */
const SKEW_MS = 2000;
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["year", 365 * DAY_MS], ["month", 30 * DAY_MS], ["day", DAY_MS], ["hour", 3_600_000], ["minute", MINUTE_MS]];

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @param {string} at @param {Intl.DateTimeFormatOptions} options */
function shown(at, options) {
  const name = locale() + JSON.stringify(options);
  const format = formats.get(name) ?? new Intl.DateTimeFormat(locale(), options);
  formats.set(name, format);
  const moment = new Date(at);
  return Number.isNaN(moment.getTime()) ? at : format.format(moment);
}

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;
export const clock = (/** @type {string} */ at) => shown(at, { hour: "2-digit", minute: "2-digit" });
export const shortDay = (/** @type {string} */ at) => shown(at, { day: "numeric", month: "short" });
export const longDay = (/** @type {string} */ at) => shown(at, { day: "numeric", month: "long", year: "numeric" });
export const moment = (/** @type {string} */ at) => shown(at, { dateStyle: "full", timeStyle: "long" });
export const stamp = (/** @type {string} */ at) => shown(at, { dateStyle: "medium", timeStyle: "medium" });

/** The viewer's day as one text, to tell days apart. @param {string | number} at */
export function dayOf(at) {
  const day = new Date(at);
  return `${day.getFullYear()}-${day.getMonth()}-${day.getDate()}`;
}

/** @param {string} at */
export function dayName(at) {
  const now = new Date();
  if (dayOf(at) === dayOf(now.getTime())) return text("today");
  if (dayOf(at) === dayOf(new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1).getTime())) return text("yesterday");
  return shown(at, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
}

/** How long ago, or how soon. @param {string} at */
export function ago(at) {
  const past = new Date(at).getTime() - Date.now();
  // Intl has one word for the minute before and the one after, which in Dutch means the one after.
  if (past > -MINUTE_MS && past < SKEW_MS) return text("now");
  const format = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  const [unit, size] = UNITS.find(([, length]) => Math.abs(past) >= length) ?? ["minute", MINUTE_MS];
  return Number.isNaN(past) ? at : format.format(Math.trunc(past / size), unit);
}

/** @param {unknown} amount @param {unknown} currency */
export function money(amount, currency) {
  const number = Number(amount);
  if (typeof amount === "object" || amount === "" || Number.isNaN(number)) return plain(amount);
  try {
    return new Intl.NumberFormat(locale(), { style: "currency", currency: plain(currency) }).format(number);
  } catch {
    return `${plain(amount)} ${plain(currency)}`.trim();
  }
}

/** @param {unknown} value whole seconds */
export function duration(value) {
  const seconds = Math.round(Number(value));
  if (typeof value === "object" || value === "" || !(seconds >= 0)) return "";
  if (seconds < 60) return text("duration.short", { seconds });
  return text("duration", { minutes: Math.floor(seconds / 60), seconds: String(seconds % 60).padStart(2, "0") });
}

/** Text and numbers only: what a provider sent may be anything. @param {unknown} value */
export function plain(value) {
  return ["string", "number", "boolean"].includes(typeof value) ? String(value) : "";
}
