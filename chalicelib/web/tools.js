/** What the holder of a key may do here, and doing it. A magic link only reads, so it has none of this. */

import { get, Refused, Unreachable } from "./api.js";
import { by, el, fill } from "./dom.js";
import { readsOnly } from "./session.js";
import { text, word } from "./texts.js";

/** @typedef {import("./decide.js").Decision} Decision */

// Loaded when they are used.
const deciding = () => import("./decide.js");
const handing = () => import("./handover.js");

export class Tools {
  /** @param {{customer: () => any, name: (conversation: string) => string, changed: () => void}} page */
  constructor(page) {
    this.page = page;
    /** @type {string[] | null} */
    this.scopes = null;
    /** The newest decision of this visit. @type {Decision | null} */
    this.newest = null;
  }

  clear() {
    Object.assign(this, { scopes: null, newest: null });
    fill(by("decided"));
    by("decided").hidden = true;
  }

  /** Asks once what this key may; a page that cannot ask shows no tools. */
  async learn() {
    if (this.scopes) return;
    if (readsOnly()) return void (this.scopes = []);
    try {
      this.scopes = (await get("me")).body.scopes;
    } catch (wrong) {
      if (wrong instanceof Refused && wrong.status !== 401) this.scopes = [];
      else if (!(wrong instanceof Unreachable)) throw wrong;
    }
  }

  /** @param {string} scope */
  may(scope) {
    return this.scopes?.includes(scope) ?? false;
  }

  /** @param {{id: string, channel: string}} conversation */
  handover(conversation) {
    if (!this.may("agent")) return null;
    const { name, customer } = this.page;
    const click = () => used(handing(), (made) => made.handOver(conversation, name(conversation.id), customer().preferred_channel));
    return button(text("handover"), `handover.${conversation.id}`, click);
  }

  /** Join or keep apart two of whom a system is not sure. @param {string | null} a @param {string | null | undefined} b */
  pair(a, b) {
    if (!this.may("agent") || !a || !b) return null;
    const ask = (/** @type {"link" | "cut"} */ kind) => this.decide({ kind, a, b: [b], force: this.may("admin") });
    return el(
      "div",
      { class: "buttons" },
      button(text("link"), `link.${a}.${b}`, () => ask("link")),
      button(text("cut"), `cut.${a}.${b}`, () => ask("cut")),
    );
  }

  /** Takes an identity away from the others of this customer. @param {string} identity */
  part(identity) {
    const others = this.page.customer().identities.map((/** @type {any} */ each) => each.identity).filter((/** @type {string} */ each) => each !== identity);
    if (!this.may("agent") || !others.length) return null;
    const click = () => this.decide({ kind: "cut", a: identity, b: others, force: false });
    return button(text("cut.one"), `part.${identity}`, click, text("cut.one.of", { identity }));
  }

  /** @param {import("./decide.js").Pair} pair */
  decide(pair) {
    used(deciding(), (made) => made.decide(pair, (done) => this.decided(done)));
  }

  /** @param {Decision} decision */
  undo(decision) {
    if (!this.may(decision.kind === "force" ? "admin" : "agent")) return null;
    const named = `${text("undo")}: ${decision.identities.join(", ")}`;
    const click = () => used(deciding(), (made) => made.undo(decision, () => this.decided(null)));
    return button(text("undo"), `undo.${decision.id}`, click, named);
  }

  /** Something was decided, or the newest taken back. @param {Decision | null} done */
  decided(done) {
    this.newest = done;
    by("said").textContent = text(done ? "decided" : "undone");
    this.show();
    this.page.changed();
    by("timeline").focus({ preventScroll: true });
  }

  show() {
    const { newest } = this;
    by("decided").hidden = !newest;
    fill(by("decided"), newest && el("span", {}, `${word("decision", newest.kind)}: `, el("bdi", {}, newest.identities.join(" · "))), newest && this.undo(newest));
  }
}

/** @template T @param {Promise<T>} loading @param {(made: T) => void} use */
function used(loading, use) {
  loading.then(use, () => (by("said").textContent = text("offline")));
}

/** @param {string} said @param {string} name by which it is found again @param {() => void} click @param {string} [about] */
function button(said, name, click, about) {
  return el("button", { type: "button", class: "quiet", "data-focus": name, "aria-label": about, click }, said);
}
