/** A question over the page: closed by Escape, and by the page when the customer goes. */

import { el, icon } from "./dom.js";
import { text } from "./texts.js";

/**
 * @param {string} title @param {string} kind its class
 * @returns {{dialog: HTMLDialogElement, body: HTMLElement, close: () => void}}
 */
export function open(title, kind) {
  const from = document.activeElement?.getAttribute("data-focus") ?? "";
  const dialog = /** @type {HTMLDialogElement} */ (el("dialog", { class: kind, "aria-labelledby": "dialog-title" }));
  const body = el("div", { class: "dialog-body" });
  const close = el("button", { type: "button", class: "quiet", click: () => dialog.close(), "aria-label": text("close") }, icon("close"));
  dialog.append(el("header", {}, el("h2", { id: "dialog-title" }, title), close), body);
  dialog.addEventListener("close", () => {
    dialog.remove();
    refocus(from);
  });
  document.body.append(dialog);
  dialog.showModal();
  return { dialog, body, close: () => dialog.close() };
}

/** Nothing of a customer stays in one. */
export function closeAll() {
  for (const each of document.querySelectorAll("dialog")) each.close();
}

/** The button that opened it may have been made anew since. @param {string} name */
export function refocus(name) {
  const lost = !document.activeElement || document.activeElement === document.body;
  if (name && lost) find(name)?.focus();
}

/** @param {string} name @returns {HTMLElement | null} */
export function find(name) {
  return document.querySelector(`[data-focus="${CSS.escape(name)}"]`);
}
