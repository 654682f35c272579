/** The public API, with the key of this tab. Nothing else is ever asked for. */

import { key } from "./session.js";

// From where this file lies, so that a stage prefix and the depth of the page do not matter.
const ROOT = new URL("../../v1/", import.meta.url);
const PATIENCE_MS = 15_000;
const SENDABLE = /^[\x21-\x7e]+$/;

/** The API said no: 401, 403, 404, 409, 410, 422. */
export class Refused extends Error {
  /**
   * @param {number} status @param {string} detail
   * @param {{pointer: string, detail: string}[]} [errors] what is wrong with which field of what was sent
   */
  constructor(status, detail, errors = []) {
    super(detail || String(status));
    this.status = status;
    this.errors = errors;
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
  const url = new URL(path, ROOT);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && String(value) !== "") url.searchParams.set(name, String(value));
  }
  const answer = await ask(url, tag ? { headers: { "If-None-Match": tag } } : {});
  if (answer.status === 304) return { body: null, tag };
  return { body: await understood(answer), tag: answer.headers.get("ETag") ?? "" };
}

/**
 * Asks for a change. What was wrong with which field is in `Refused.errors`.
 * @param {"POST" | "PATCH" | "DELETE"} method @param {string} path below /v1/ @param {unknown} [body]
 * @returns {Promise<any>} what the hub answers
 */
export async function send(method, path, body) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  return understood(await ask(new URL(path, ROOT), { method, ...sent }));
}

/**
 * A document that comes in pages, each of which names the next in its `Link`.
 * @param {string} path below /v1/ @param {Record<string, string | number>} query
 * @returns {Promise<Blob[]>}
 */
export async function pages(path, query) {
  const parts = [];
  let next = "";
  do {
    const url = new URL(path, ROOT);
    for (const [name, value] of Object.entries({ ...query, ...(next && { next }) })) url.searchParams.set(name, String(value));
    const answer = await ask(url, { headers: { Accept: "*/*" } });
    if (!answer.ok) await understood(answer);
    parts.push(await answer.blob());
    next = /[?&]next=([^&>]+)/.exec(answer.headers.get("Link") ?? "")?.[1] ?? "";
  } while (next);
  return parts;
}

/** @param {URL} url @param {RequestInit} options */
async function ask(url, options) {
  // Letters that no header can carry are in no key; fetch would fail as if nobody answered.
  if (!SENDABLE.test(key())) throw new Refused(401, "");
  const headers = { Accept: "application/json", Authorization: `Bearer ${key()}`, ...options.headers };
  try {
    return await fetch(url, { cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(PATIENCE_MS), ...options, headers });
  } catch (wrong) {
    throw new Unreachable(String(wrong));
  }
}

/** @param {Response} answer */
async function understood(answer) {
  if (answer.status >= 500 || answer.status === 429) throw new Unreachable(String(answer.status));
  const body = await read(answer);
  if (!answer.ok) throw new Refused(answer.status, body?.detail ?? "", body?.errors ?? []);
  return body;
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
