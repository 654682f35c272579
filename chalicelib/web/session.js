/** The key or magic token of this tab: taken from the address or typed, gone when the tab closes. */

const NAME = "draad.key";
const LANGUAGE = "draad.language";

/** Where a browser keeps nothing at all, the page itself remembers. @type {Map<string, string>} */
const memory = new Map();

/** @param {() => Storage} storage @param {string} name @returns {string} */
function kept(storage, name) {
  try {
    return storage().getItem(name) ?? "";
  } catch {
    return memory.get(name) ?? "";
  }
}

/** @param {() => Storage} storage @param {string} name @param {string} value */
function keep(storage, name, value) {
  try {
    if (value) storage().setItem(name, value);
    else storage().removeItem(name);
  } catch {
    memory.set(name, value);
  }
}

const tab = () => window.sessionStorage;
const browser = () => window.localStorage;

export const key = () => kept(tab, NAME);
export const remember = (/** @type {string} */ value) => keep(tab, NAME, value);
export const forget = () => keep(tab, NAME, "");
export const language = () => kept(browser, LANGUAGE);
export const rememberLanguage = (/** @type {string} */ value) => keep(browser, LANGUAGE, value);

/** Takes `#t=…` out of the address bar and its history, whatever it holds. True when there was one. */
export function takeFromAddress() {
  if (!location.hash.startsWith("#t=")) return false;
  const token = location.hash.slice(3);
  history.replaceState(null, "", location.pathname + location.search);
  remember(token);
  return true;
}
