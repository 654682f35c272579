/** Moving a conversation to another channel: one click makes the link, to copy, to send or to scan; another click another channel's. */

import { send } from "./api.js";
import { saying } from "./decide.js";
import { open } from "./dialog.js";
import { drawing, el, fill, icon, link } from "./dom.js";
import { moment } from "./format.js";
import { text, word } from "./texts.js";

/** Those that a link can lead to. */
const CHANNELS = ["whatsapp", "email", "sms", "webchat", "web", "app", "messenger", "instagram", "telegram", "viber", "line"];
const QUIET = 4;
const SAID_MS = 2000;

/**
 * The link to the channel they prefer is made at once: nothing comes on the timeline before the customer uses it.
 * @param {{id: string, channel: string}} conversation @param {string} name @param {string | null} preferred
 */
export function handOver({ id, channel: here }, name, preferred) {
  const { body } = open(text("handover.title", { name }), "handover");
  const notify = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox" }));
  const place = el("div", { class: "made", role: "status" });
  const worth = (/** @type {string} */ channel) => (channel === here ? -1 : channel === preferred ? 1 : 0);
  const offered = [...CHANNELS].sort((one, other) => worth(other) - worth(one));
  let last = 0;
  const make = async (/** @type {string} */ channel) => {
    const mine = ++last;
    const unlessLater = (/** @type {() => void} */ draw) => mine === last && draw();
    press(chips, channel);
    delete place.dataset.to;
    fill(place, el("p", { class: "soft" }, text("handover.making")));
    try {
      const made = await send("POST", `conversations/${encodeURIComponent(id)}/handovers`, { channel, notify: notify.checked });
      unlessLater(() => show(place, made));
    } catch (wrong) {
      const said = await saying(wrong);
      unlessLater(() => fill(place, el("p", { class: "reason" }, said)));
    }
  };
  const chips = el("div", { class: "chips wrapped", role: "group", "aria-label": text("handover.to") }, offered.map((channel) => chip(channel, preferred, make)));
  const wish = el("label", { class: "check" }, notify, text("handover.notify"));
  body.append(el("p", { class: "soft" }, text("handover.meaning")), wish, chips, place);
  void make(offered[0]);
}

/** @param {string} channel @param {string | null} preferred @param {(channel: string) => Promise<void>} make */
function chip(channel, preferred, make) {
  const attributes = { type: "button", class: "chip", "aria-pressed": "false", "data-channel": channel };
  const liked = channel === preferred && el("span", { class: "liked" }, text("handover.preferred"));
  return el("button", { ...attributes, click: () => void make(channel) }, icon(channel), word("channel", channel), liked);
}

/** @param {HTMLElement} chips @param {string} channel */
function press(chips, channel) {
  for (const each of chips.children) each.setAttribute("aria-pressed", each.getAttribute("data-channel") === channel ? "true" : "false");
}

/** @param {HTMLElement} place @param {any} made */
function show(place, made) {
  const { url } = made;
  const channel = word("channel", made.channel);
  place.dataset.to = made.channel;
  fill(
    place,
    made.qr && code(made.qr, text("handover.qr", { channel })),
    el(
      "div",
      { class: "way-there" },
      el("p", {}, text(url ? (made.qr ? "handover.made" : "handover.unfinished") : "handover.no_address", { channel })),
      copyable(url ?? made.text, text(url ? "handover.link" : "handover.text")),
      link(url, text("handover.open")),
      el("p", { class: "soft" }, text("handover.until", { time: moment(made.expires_at) })),
    ),
  );
}

/** @param {{size: number, path: string}} qr @param {string} name */
function code({ size, path }, name) {
  const whole = size + 2 * QUIET;
  const ground = drawing("rect", { x: -QUIET, y: -QUIET, width: whole, height: whole, class: "light" });
  const dark = drawing("path", { d: path, class: "dark", "shape-rendering": "crispEdges" });
  return drawing("svg", { viewBox: `${-QUIET} ${-QUIET} ${whole} ${whole}`, class: "qr", role: "img", "aria-label": name }, ground, dark);
}

/** @param {string} told @param {string} name */
function copyable(told, name) {
  const field = /** @type {HTMLInputElement} */ (el("input", { readonly: true, value: told, "aria-label": name, dir: "ltr" }));
  const said = el("span", {}, text("handover.copy"));
  const button = el("button", { type: "button", class: "main", click: () => void copy() }, said);
  const copy = async () => {
    field.select();
    said.textContent = (await written(told)) ? text("handover.copied") : text("handover.by_hand");
    setTimeout(() => (said.textContent = text("handover.copy")), SAID_MS);
  };
  return el("div", { class: "copyable" }, field, button);
}

/** A frame of somebody else may not be allowed to. @param {string} told */
async function written(told) {
  try {
    await navigator.clipboard.writeText(told);
    return true;
  } catch {
    return false;
  }
}
