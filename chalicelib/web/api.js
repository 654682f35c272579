/** The public API, with the key of this tab. Nothing else is ever asked for. */

import { key } from "./session.js";

// From where this file lies, so that a stage prefix and the depth of the page do not matter.
const ROOT = new URL("../../v1/", import.meta.url);
const PATIENCE_MS = 15_000;
const SENDABLE = /^[\x21-\x7e]+$/;

/** The API said no: 401, 403, 404, 410, 422. */
export class Refused extends Error {
  /** @param {number} status @param {string} detail */
  constructor(status, detail) {
    super(detail || String(status));
    this.status = status;
  }
}

/** Nobody answered, or the hub could not: time mends it. */
export class Unreachable extends Error {}

/**
 * @param {string} path below /v1/
 * @param {Record<string, string | number | string[] | null>} [query] lists are joined, empty values left out
 * @param {string} [tag] ETag of what is known already
 * @returns {Promise<{body: any, tag: string}>} `body` is null when nothing changed
 */
export async function get(path, query = {}, tag = "") {
  // Letters that no header can carry are in no key; fetch would fail as if nobody answered.
  if (!SENDABLE.test(key())) throw new Refused(401, "");
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && String(value) !== "") url.searchParams.set(name, String(value));
  }
  const answer = await ask(url, tag);
  if (answer.status === 304) return { body: null, tag };
  if (answer.status >= 500 || answer.status === 429) throw new Unreachable(String(answer.status));
  const body = await read(answer);
  if (!answer.ok) throw new Refused(answer.status, body?.detail ?? "");
  return { body, tag: answer.headers.get("ETag") ?? "" };
}

/** @param {URL} url @param {string} tag */
async function ask(url, tag) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", Authorization: `Bearer ${key()}` };
  if (tag) headers["If-None-Match"] = tag;
  try {
    return await fetch(url, { headers, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (wrong) {
    throw new Unreachable(String(wrong));
  }
}

/** @param {Response} answer */
async function read(answer) {
  try {
    return await answer.json();
  } catch (wrong) {
    if (answer.ok) throw new Unreachable(String(wrong));
    return null;
  }
}
