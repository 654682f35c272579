/** A route's example as a command that anybody can paste into a shell. */

/** @typedef {import("./operation.js").Operation} Operation */

/** Between single quotes nothing means anything but the quote itself. @param {string} text */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** @param {Operation} told @param {string} base @returns {string} */
export function curl(told, base) {
  const body = told.body?.content["application/json"]?.example;
  const parts = [`curl -s ${told.method === "GET" || (told.method === "POST" && body !== undefined) ? "" : `-X ${told.method} `}${quoted(url(told, base))}`];
  if (told.scopes !== null) parts.push('-H "Authorization: Bearer $KEY"');
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body, null, 2))}`);
  return parts.join(" \\\n  ");
}

/** @param {Operation} told @param {string} base */
function url(told, base) {
  const given = told.parameters.filter((each) => each.example !== undefined);
  const path = given
    .filter((each) => each.in === "path")
    .reduce((found, each) => found.replace(`{${each.name}}`, encodeURIComponent(each.example)), told.path);
  const query = given
    .filter((each) => each.in === "query")
    .flatMap((each) => [each.example].flat().map((value) => `${each.name}=${encodeURIComponent(value)}`));
  return base + path + (query.length ? `?${query.join("&")}` : "");
}
