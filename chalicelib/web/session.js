/** The key or magic token of this tab: taken from the address or typed, gone when the tab closes. */

/** Whether the page was made to stand in somebody else's. */
export const EMBEDDED = document.documentElement.dataset.place === "embed";
export const MAGIC = "magic_";

// A frame never uses a key that was typed elsewhere in this tab, and two frames do not use each other's token.
const NAME = EMBEDDED ? `draad.embed:${location.pathname}` : "draad.key";
const LANGUAGE = "draad.language";

/** Where a browser keeps nothing, as in many frames of others, the page itself remembers. @type {Map<string, string>} */
const memory = new Map();

/** @param {() => Storage} storage @param {string} name @returns {string} */
function kept(storage, name) {
  try {
    return memory.get(name) ?? storage().getItem(name) ?? "";
  } catch {
    return "";
  }
}

/** @param {() => Storage} storage @param {string} name @param {string} value */
function keep(storage, name, value) {
  memory.delete(name);
  try {
    if (value) storage().setItem(name, value);
    else storage().removeItem(name);
  } catch {
    if (value) memory.set(name, value);
  }
}

const tab = () => window.sessionStorage;
const browser = () => window.localStorage;

export const key = () => kept(tab, NAME);
export const remember = (/** @type {string} */ value) => keep(tab, NAME, value);
export const forget = () => keep(tab, NAME, "");
export const language = () => kept(browser, LANGUAGE);
export const rememberLanguage = (/** @type {string} */ value) => keep(browser, LANGUAGE, value);

/** Whether it only opens one customer's page to read. */
export const readsOnly = () => key().startsWith(MAGIC);

/** Takes `#t=…` out of the address bar and its history, whatever it holds. True when there was one. */
export function takeFromAddress() {
  if (!location.hash.startsWith("#t=")) return false;
  const token = location.hash.slice(3);
  history.replaceState(null, "", location.pathname + location.search);
  if (!EMBEDDED || token.startsWith(MAGIC)) remember(token);
  return true;
}
