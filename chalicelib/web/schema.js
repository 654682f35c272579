/** JSON Schema in words: the fields of a body or an answer, the nested ones by their path. */

/** @typedef {{name: string, kind: string, required: boolean, says: string}} Field */

const DEEPEST = 3;
const MOST_WORDS = 12;

/** What a reference points at. @param {any} schema @param {any} contract @returns {any} */
export function follow(schema, contract) {
  if (!schema?.$ref) return schema;
  return schema.$ref.slice(2).split("/").reduce((/** @type {any} */ found, /** @type {string} */ name) => found[name], contract);
}

/** @param {any} schema @returns {string} */
export function kindOf(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.length > MOST_WORDS ? `${schema.enum.slice(0, MOST_WORDS).join(" | ")} | …` : schema.enum.join(" | ");
  if (schema.anyOf) return schema.anyOf.map(kindOf).join(" | ");
  if (schema.type === "array") return schema.items ? `[${kindOf(schema.items)}]` : "[]";
  if (schema.type === "object" && typeof schema.additionalProperties === "object") return `{… : ${kindOf(schema.additionalProperties)}}`;
  const bounds = schema.minimum !== undefined && schema.maximum !== undefined ? ` ${schema.minimum}–${schema.maximum}` : "";
  return `${schema.format ?? schema.type ?? "any"}${bounds}`;
}

/** @param {any} schema @param {any} contract @param {string} [before] @param {number} [depth] @returns {Field[]} */
export function fields(schema, contract, before = "", depth = 1) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, each]) => {
    const said = schema.properties[name].description ?? "";
    const line = { name: before + name, kind: kindOf(each), required: required.has(name), says: said };
    const [below, mark] = inner(each, contract);
    return depth < DEEPEST && below ? [line, ...fields(below, contract, `${before}${name}${mark}.`, depth + 1)] : [line];
  });
}

/** The object inside a field, if there is one, and how its path is written. @param {any} schema @param {any} contract @returns {[any, string]} */
function inner(schema, contract) {
  if (schema.anyOf) {
    const named = schema.anyOf.find((/** @type {any} */ each) => each.$ref || each.type === "array");
    return named ? inner(named, contract) : [null, ""];
  }
  if (schema.type === "array" && schema.items) return [inner(schema.items, contract)[0], "[]"];
  if (typeof schema.additionalProperties === "object") return [inner(schema.additionalProperties, contract)[0], ".*"];
  const found = follow(schema, contract);
  return found.properties ? [found, ""] : [null, ""];
}
