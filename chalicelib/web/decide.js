/** Joining two identities, keeping them apart, and taking either back: shown first, done after. */

import { Refused, send } from "./api.js";
import { open } from "./dialog.js";
import { el, fill } from "./dom.js";
import { around, learn, refusal } from "./spoken.js";
import { text, word } from "./texts.js";

const SHOWN = 8;
const PAUSE_MS = 250;
const SAYS = {
  link: { title: "link.title", and: "link.and", go: "link.go", same: "link.same" },
  cut: { title: "cut.title", and: "cut.and", go: "cut.go", same: "cut.same" },
  undo: { title: "undo.title", and: "", go: "undo.go", same: "undo.same" },
};

/**
 * @typedef {{kind: "link" | "cut", a: string, b: string[], force: boolean}} Pair
 *   `b`: the ones to choose from; `force`: whether the key may join what stronger evidence keeps apart
 * @typedef {{id: string, kind: string, identities: string[]}} Decision
 */

/** Asks about two identities. @param {Pair} pair @param {(done: Decision) => void} done */
export function decide(pair, done) {
  const { dialog, body, close } = open(text(SAYS[pair.kind].title), "decide");
  const chosen = pair.b.length > 1 ? choice(pair.b) : null;
  const reason = /** @type {HTMLInputElement} */ (el("input", { id: "decide-reason", required: true, maxlength: 500, autocomplete: "off" }));
  const force = /** @type {HTMLInputElement} */ (el("input", { type: "checkbox" }));
  const forced = el("label", { class: "check", hidden: true }, force, text("link.force"));
  const asked = () => ({ a: pair.a, b: chosen?.value ?? pair.b[0], reason: reason.value.trim(), ...(force.checked ? { force: true } : {}) });
  const preview = new Preview(pair.kind, (told) => (forced.hidden = !(pair.force && (force.checked || told.conflicts.length))));
  const ask = () => preview.ask("POST", `${pair.kind}s?dry_run=true`, { ...asked(), reason: text("decide.preview") });
  const confirm = async () => {
    const made = await send("POST", `${pair.kind}s`, asked());
    close();
    done({ id: made.id, kind: made.kind, identities: [made.a, made.b] });
  };
  const ends = el("p", { class: "pair" }, el("bdi", {}, pair.a), el("span", { class: "soft" }, text(SAYS[pair.kind].and)), chosen ?? el("bdi", {}, pair.b[0]));
  const why = [el("label", { for: "decide-reason" }, text("decide.reason")), reason];
  body.append(form([ends, preview.place, forced, ...why], preview, text(SAYS[pair.kind].go), confirm, close));
  for (const each of [chosen, force]) each?.addEventListener("change", () => void ask());
  dialog.addEventListener("close", () => preview.stop());
  reason.focus();
  void ask();
}

/** Asks about what was decided before. @param {Decision} decision @param {() => void} done */
export function undo(decision, done) {
  const { dialog, body, close } = open(text(SAYS.undo.title), "decide");
  const path = `${decision.kind === "cut" ? "cuts" : "links"}/${encodeURIComponent(decision.id)}`;
  const preview = new Preview("undo", () => {});
  const confirm = async () => {
    await send("DELETE", path);
    close();
    done();
  };
  const said = el("p", {}, el("span", {}, `${word("decision", decision.kind)}: `), el("bdi", {}, decision.identities.join(" · ")));
  body.append(form([said, preview.place], preview, text(SAYS.undo.go), confirm, close));
  dialog.addEventListener("close", () => preview.stop());
  void preview.ask("DELETE", `${path}?dry_run=true`);
}

/** @param {string[]} offered @returns {HTMLSelectElement} */
function choice(offered) {
  const options = offered.map((each) => el("option", { value: each }, each));
  return /** @type {HTMLSelectElement} */ (el("select", { "aria-label": text("cut.from") }, options));
}

/**
 * @param {(Node | null)[]} parts @param {Preview} preview @param {string} go @param {() => Promise<void>} confirm @param {() => void} close
 */
function form(parts, preview, go, confirm, close) {
  const wrong = el("p", { class: "reason", role: "alert" });
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (preview.go.disabled) return;
    preview.go.disabled = true;
    try {
      await confirm();
    } catch (failed) {
      preview.go.disabled = false;
      fill(wrong, await saying(failed));
    }
  };
  preview.go.textContent = go;
  const buttons = el("div", { class: "buttons" }, el("button", { type: "button", click: close }, text("decide.cancel")), preview.go);
  return el("form", { submit: (event) => void submit(event) }, ...parts, wrong, buttons);
}

/** @param {unknown} wrong @returns {Promise<import("./dom.js").Child | import("./dom.js").Child[]>} */
export async function saying(wrong) {
  if (!(wrong instanceof Refused)) return text("offline");
  await learn("reasons");
  return around("refused", "detail", refusal(wrong));
}

/** What would come of it, told before it is done. */
class Preview {
  /** @param {"link" | "cut" | "undo"} kind @param {(told: any) => void} heard */
  constructor(kind, heard) {
    this.kind = kind;
    this.heard = heard;
    this.place = el("div", { class: "outcome", role: "status" });
    this.go = /** @type {HTMLButtonElement} */ (el("button", { type: "submit", class: "main", disabled: true }));
    this.turn = 0;
  }

  stop() {
    this.turn += 1;
  }

  /** @param {"POST" | "DELETE"} method @param {string} path @param {unknown} [body] */
  async ask(method, path, body) {
    const turn = ++this.turn;
    this.go.disabled = true;
    fill(this.place, el("p", { class: "soft" }, text("outcome.asking")));
    await new Promise((wait) => setTimeout(wait, PAUSE_MS));
    try {
      const told = turn === this.turn ? await send(method, path, body) : null;
      if (turn !== this.turn) return;
      this.show(told);
      this.heard(told);
    } catch (wrong) {
      const said = await saying(wrong);
      if (turn === this.turn) fill(this.place, el("p", { class: "reason" }, said));
    }
  }

  /** @param {any} told */
  show(told) {
    const { before, after } = told.customers;
    const same = JSON.stringify(before) === JSON.stringify(after);
    // Keeping two apart who are two already still says that they are not one.
    this.go.disabled = same && this.kind === "link";
    const refused = told.conflicts.map((/** @type {any} */ each) => el("p", { class: "reason" }, word("conflict", each.kind)));
    const held = told.held && el("p", { class: "reason" }, text("outcome.held"));
    const said = same
      ? [el("p", {}, text(SAYS[this.kind].same)), ...refused, ...customers("", after)]
      : [...customers(text("outcome.now"), before), ...customers(text("outcome.then"), after)];
    fill(this.place, said, held);
  }
}

/** @param {string} title @param {{id: string, identities: string[]}[]} parts @returns {HTMLElement[]} */
function customers(title, parts) {
  const shown = parts.map((part) => {
    const more = part.identities.length - SHOWN;
    const told = part.identities.slice(0, SHOWN).map((each) => el("bdi", {}, each));
    return el("li", {}, told, more > 0 && el("span", { class: "soft" }, text("outcome.more", { n: more })));
  });
  return [...(title ? [el("h3", {}, title)] : []), el("ul", { class: "parts" }, shown)];
}
