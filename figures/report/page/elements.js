// Elements of the page. Text goes in as text: a name from a file is never read as HTML.

import {count} from "./numbers.js";

// Rows of a table that are shown at once: of more than MOST, EACH on a page.
const MOST = 200;
const EACH = 50;
let made = 0;

/** Makes an element; `attributes` may hold listeners (onclick), properties of `style` and `data-`. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) made.style.setProperty(key, one);
    else if (["value", "checked", "selected"].includes(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return made;
}

export function freshId(name) {
  return `${name}-${(made += 1)}`;
}

/** A labelled select. `options` are [value, text]. */
export function select(label, options, chosen, onChoice) {
  const id = freshId("select");
  const box = element(
    "select",
    {id, onchange: () => onChoice(box.value)},
    options.map(([value, text]) => element("option", {value, selected: value === chosen}, text)),
  );
  return element("div", {class: "field"}, element("label", {for: id}, label), box);
}

/** A labelled slider over `steps` positions; `say` returns what a position means, for eye and ear. */
export function slider(label, {steps, start, say, onMove}) {
  const id = freshId("slider");
  const told = element("output", {for: id, "aria-live": "polite"}, say(start));
  const bar = element("input", {
    id, type: "range", min: 0, max: steps - 1, step: 1, "aria-valuetext": say(start),
    oninput: () => {
      told.textContent = say(Number(bar.value));
      bar.setAttribute("aria-valuetext", told.textContent);
      onMove(Number(bar.value));
    },
  });
  bar.value = start;
  return element("div", {class: "field slider"}, element("label", {for: id}, label), bar, told);
}

/** Pages of many rows: `draw` gets those of one page; `show` takes all of them. */
export function pager(draw) {
  let [rows, first] = [[], 0];
  const told = element("output", {"aria-live": "polite"});
  const [back, on] = [["‹ before", -EACH], ["after ›", EACH]].map(([text, by]) =>
    element("button", {type: "button", onclick: () => turn(by)}, text));
  const box = element("div", {class: "pages", role: "group", "aria-label": "Pages of the table"}, back, told, on);
  const turn = (by) => {
    first += by;
    const last = Math.min(first + EACH, rows.length);
    told.textContent = `${count(first + 1)} to ${count(last)} of ${count(rows.length)}`;
    [back.disabled, on.disabled] = [first === 0, last === rows.length];
    draw(rows.slice(first, last));
  };
  const show = (all) => {
    [rows, first] = [all, 0];
    box.hidden = rows.length <= MOST;
    if (box.hidden) draw(rows);
    else turn(0);
  };
  return {box, show};
}

/**
 * A table with a caption, in pages where it is long. `columns` are {title, numeric, whole, head}: a column of numbers, one
 * whose lines are not broken, one that names its line. A cell is text or an element;
 * `cellsOf` makes those of a row when it is shown.
 * The box around it scrolls sideways where the page is narrow, by the keyboard as well.
 */
export function table(caption, columns, rows, cellsOf = (cells) => cells) {
  const head = columns.map(({title, numeric}) => element("th", {scope: "col", class: numeric && "number"}, title));
  const line = (row) => element("tr", {}, cellsOf(row).map((cell, k) => element(
    columns[k].head ? "th" : "td",
    {scope: columns[k].head && "row", class: columns[k].numeric ? "number" : columns[k].whole && "whole"},
    cell,
  )));
  const body = element("tbody");
  const pages = pager((shown) => body.replaceChildren(...shown.map(line)));
  pages.show(rows);
  const shell = scrolled(caption, element("table", {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, head)),
    body,
  ));
  return rows.length > MOST ? element("div", {}, pages.box, shell) : shell;
}

export function scrolled(name, content) {
  return element("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": name}, content);
}

export function details(summary, ...content) {
  return element("details", {}, element("summary", {}, summary), ...content);
}

/** A sentence in which a command of ours stands between quotes. */
export function sentence(text, kind = "note") {
  const parts = text.split(/'(spectra [^']*)'/);
  return element("p", {class: kind}, parts.map((part, k) => (k % 2 ? element("code", {}, part) : part)));
}
