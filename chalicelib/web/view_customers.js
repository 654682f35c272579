/** Customers: find one, and open the timeline. */

import { el, fill } from "./dom.js";
import "./operate.js";
import { heading } from "./parts.js";
import { customerSearch } from "./search.js";
import { text } from "./texts.js";

/** @type {import("./console.js").View["show"]} */
export async function show(place) {
  const open = (/** @type {any} */ customer) => el("a", { class: "plain", href: `customers/${encodeURIComponent(customer.id)}` }, text("customer.open"));
  fill(place, heading(text("nav.customers"), { about: text("customers.about") }), customerSearch(open));
  /** @type {HTMLElement | null} */ (place.querySelector("input"))?.focus();
}
