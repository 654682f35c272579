/** Charts of plain SVG. What they show stands beside them as text, or behind a disclosure as a table. */

import { el, fill } from "./dom.js";
import { locale } from "./texts.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 240;
const FOOT = 24;
const HEAD = 8;
const GAP = 1;
const WIDEST = 44;
const LABEL_PX = 48;
const DIGIT_PX = 8;
const LINES = 4;

let made = 0;

/** @param {number} n @param {Intl.NumberFormatOptions} [options] */
export const number = (n, options) => new Intl.NumberFormat(locale(), options).format(n);

/** @param {string} tag @param {Record<string, string | number>} attributes @param {...(Node | string)} children */
function drawn(tag, attributes, ...children) {
  const shape = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) shape.setAttribute(name, String(value));
  shape.append(...children);
  return shape;
}

/**
 * Columns in time, each made of parts that stand on each other. Drawn anew whenever there is more or less room, so that
 * its letters are as large as all others.
 * @param {{title: string, about: string, names: string[], columns: {label: string, values: number[]}[]}} what
 *   `names`: of the parts, in the order of `values` and of the colours
 */
export function columns(what) {
  const place = el("div", { class: "columns" });
  let width = 0;
  new ResizeObserver(() => {
    if (!place.clientWidth || place.clientWidth === width) return;
    width = place.clientWidth;
    fill(place, painted(what, width));
  }).observe(place);
  return place;
}

/** @param {Parameters<typeof columns>[0]} what @param {number} width */
function painted({ title, about, names, columns: found }, width) {
  const id = `chart-${++made}`;
  const highest = Math.max(...found.map(({ values }) => sum(values)), 1);
  const step = nice(highest / LINES);
  const top = Math.ceil(highest / step) * step;
  const left = number(top).length * DIGIT_PX + 8;
  const y = (/** @type {number} */ value) => HEAD + (HEIGHT - FOOT - HEAD) * (1 - value / top);
  const slot = (width - left) / found.length;
  const every = Math.max(1, Math.ceil(LABEL_PX / slot));
  const lines = Array.from({ length: top / step + 1 }, (_, at) => line(at * step, y(at * step), left, width));
  const bars = found.map((column, at) => stack(column, names, left + slot * at, slot, y));
  const labels = found.map(({ label }, at) => (found.length - 1 - at) % every === 0 && said(label, Math.min(left + slot * (at + 0.5), width - LABEL_PX / 2)));
  return drawn(
    "svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", "aria-labelledby": `${id}-title ${id}-about` },
    drawn("title", { id: `${id}-title` }, title), drawn("desc", { id: `${id}-about` }, about),
    ...lines, ...bars, ...labels.filter((each) => each !== false),
  );
}

/** @param {number} value @param {number} y @param {number} left @param {number} width */
function line(value, y, left, width) {
  const ruled = drawn("line", { class: value ? "rule" : "rule ground", x1: left, x2: width, y1: y, y2: y });
  return drawn("g", {}, ruled, drawn("text", { class: "tick", x: left - 8, y: y + 4, "text-anchor": "end" }, number(value)));
}

/** @param {string} label @param {number} x */
const said = (label, x) => drawn("text", { class: "tick", x, y: HEIGHT - 6, "text-anchor": "middle" }, label);

/** @param {{label: string, values: number[]}} column @param {string[]} names @param {number} x @param {number} slot @param {(value: number) => number} y */
function stack({ label, values }, names, x, slot, y) {
  const width = Math.min(slot * 0.7, WIDEST);
  let below = 0;
  const parts = values.flatMap((value, at) => {
    if (!value) return [];
    const [from, to] = [y(below), y(below + value)];
    below += value;
    const seam = from - to > 3 * GAP ? GAP : 0;
    const shape = { class: `kind-${at}`, x: x + (slot - width) / 2, y: to, width, height: Math.max(0, from - to - seam) };
    return [drawn("rect", shape, drawn("title", {}, `${label}: ${names[at]} ${number(value)}`))];
  });
  return drawn("g", {}, ...parts);
}

/** The next number that reads well: 1, 2 or 5 with noughts. @param {number} least */
function nice(least) {
  const size = 10 ** Math.floor(Math.log10(Math.max(least, 1)));
  return [1, 2, 5, 10].map((each) => each * size).find((each) => each >= least) ?? size;
}

/** @param {number[]} values */
const sum = (values) => values.reduce((total, each) => total + each, 0);

/**
 * What the colours mean.
 * @param {[string, string][]} names with what is said of each
 */
export function legend(names) {
  return el("ul", { class: "legend" }, names.map(([name, value], at) => el("li", {}, swatch(at), el("span", {}, name), el("span", { class: "n soft" }, value))));
}

/** @param {number} at */
function swatch(at) {
  return drawn("svg", { viewBox: "0 0 10 10", class: "swatch", "aria-hidden": "true" }, drawn("rect", { class: `kind-${at}`, width: 10, height: 10, rx: 2.5 }));
}

/**
 * One line for each: its name, its number, and a bar that says the same to the eye.
 * @param {{name: import("./dom.js").Child, said: import("./dom.js").Child, more?: import("./dom.js").Child, bars: [string, number][][]}[]} rows
 *   `bars`: under each other, each of parts with a look and a share of the whole width
 */
export function bars(rows) {
  return el("ul", { class: "bars" }, rows.map(({ name, said: told, more, bars: found }) =>
    el("li", {}, el("span", { class: "of" }, name), el("span", { class: "n" }, told), found.map(track), more && el("span", { class: "soft more-said" }, more)),
  ));
}

/** @param {[string, number][]} parts */
function track(parts) {
  let x = 0;
  const shapes = parts.map(([look, share]) => {
    const shape = drawn("rect", { class: look, x, y: 0, width: share * 100, height: 8 });
    x += share * 100;
    return shape;
  });
  return drawn("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", class: "track", "aria-hidden": "true" }, ...shapes);
}
