/** Asks again and again while somebody looks: at once when they come back, less often while nobody answers. */

const LONGEST_MS = 30_000;

export class Poll {
  /** @param {() => Promise<void>} ask @param {number} seconds */
  constructor(ask, seconds) {
    this.ask = ask;
    this.usual = seconds * 1000;
    this.wait = this.usual;
    this.timer = 0;
    this.running = false;
    this.asking = false;
    this.wake = () => this.soon();
  }

  start() {
    document.addEventListener("visibilitychange", this.wake);
    window.addEventListener("online", this.wake);
    this.running = true;
    this.wait = this.usual;
    this.plan();
  }

  /** Nothing is left of it: a view that was closed is neither asked for nor kept. */
  stop() {
    document.removeEventListener("visibilitychange", this.wake);
    window.removeEventListener("online", this.wake);
    this.running = false;
    clearTimeout(this.timer);
  }

  soon() {
    if (this.running && !document.hidden) void this.now();
  }

  plan() {
    clearTimeout(this.timer);
    if (this.running && !document.hidden) this.timer = setTimeout(() => void this.now(), this.wait);
  }

  async now() {
    if (this.asking) return;
    this.asking = true;
    try {
      await this.ask();
      this.wait = this.usual;
    } catch {
      this.wait = Math.min(this.wait * 2, LONGEST_MS);
    } finally {
      this.asking = false;
      this.plan();
    }
  }
}
