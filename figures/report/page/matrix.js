// Verdicts: recipes and classes at a glance, and the table of all that is known of each.

import {byPlace, distinct, rowText, rowsAt} from "./contents.js";
import {element, freshId, pager, scrolled, select, sentence} from "./elements.js";
import {groupsOverview, samples} from "./many.js";
import {compare, count, number, percent} from "./numbers.js";
import {swatch} from "./theme.js";

const ALL = "";
// A mark for each verdict, so that it is not told by colour alone.
const MARKS = {"negative curvature": "▼", "no negative curvature": "○", undecided: "?"};
const OTHER_MARK = "·";
const ARROWS = {ascending: " ▲", descending: " ▼", none: ""};

// key, title, what is sorted by, what stands in the cell, whether it is a number.
const COLUMNS = [
  {key: "run", title: "Run", value: (r) => r.run.place, cell: runCell},
  {key: "class", title: "Class", value: (r) => r.label.place, cell: classCell, head: true},
  {key: "verdict", title: "Verdict, and what it says", value: (r) => r.verdict, cell: verdictCell},
  {key: "lambda_min", title: "λmin", value: (r) => r.lambda_min.value, cell: (r) => extremeCell(r.lambda_min, false), numeric: true},
  {key: "lambda_max", title: "λmax", value: (r) => r.lambda_max.value, cell: (r) => extremeCell(r.lambda_max, true), numeric: true},
  {key: "ratio", title: "|λmin/\nλmax|", value: (r) => r.ratio, cell: (r) => number(r.ratio), numeric: true},
  {key: "grad_norm", title: "slope\n‖gradient‖", value: (r) => r.grad_norm, cell: (r) => number(r.grad_norm), numeric: true},
  {key: "lowered", title: "Lowered\n%", value: (r) => r.lowered, cell: (r) => percent(r.lowered), numeric: true},
  {key: "bending", title: "by\nbending %", value: (r) => r.lowered_by_bending, cell: (r) => percentOfLittle(r.lowered_by_bending), numeric: true},
  {key: "train", title: "Right in\ntrain %", value: (r) => r.accuracy_train, cell: (r) => percent(r.accuracy_train), numeric: true},
  {key: "test", title: "Right in\ntest %", value: (r) => r.accuracy_test, cell: (r) => percent(r.accuracy_test), numeric: true},
  {key: "n", title: "n", value: (r) => r.n, cell: (r) => count(r.n), numeric: true},
];

export function verdictsSection(report, choices) {
  if (!report.rows.length) {
    return [sentence("No class was analyzed in what is shown here. 'spectra analyze CHECKPOINT' finds the extremes and the density of each.")];
  }
  const glance = element("div");
  choices.follow(["split", "epoch"], (now) => glance.replaceChildren((report.many ? groupsOverview : overview)(report, now)));
  return [
    sentence(report.many ? "What the curvature of the classes of each group is at the chosen checkpoint, and of every class by its size." : "What the curvature of every class is at the chosen checkpoint. A number is |λmin/λmax|, and the stronger the tint the larger it is. Choose a field to go to its line below."),
    glance,
    ...samples(report),
    element("h3", {}, "Every class in numbers"),
    ...matrix(report, choices),
  ];
}

function overview(report, now) {
  const rows = rowsAt(report, now);
  const labels = report.labels.filter((label) => rows.some((row) => row.label === label));
  const caption = `|λmin/λmax| on the ${now.split ?? "given"} images, classes with most images first`;
  const head = ["Run", ...labels.map((label) => label.text)].map((text) => element("th", {scope: "col"}, text));
  const lines = report.runs.filter((run) => rows.some((row) => row.run === run)).map((run) =>
    element("tr", {}, element("th", {scope: "row"}, run.text), labels.map((label) =>
      glanceCell(rows.find((row) => row.run === run && row.label === label)))));
  const legend = distinct(rows.map((row) => row.verdict)).map((name) => element("span", {}, `${MARKS[name] ?? OTHER_MARK} ${name}`));
  return element("div", {}, scrolled(caption, element("table", {class: "glance"},
    element("caption", {}, caption), element("thead", {}, element("tr", {}, head)), element("tbody", {}, lines),
  )), element("p", {class: "legend"}, legend));
}

function glanceCell(row) {
  if (!row) return element("td", {class: "number"}, "–");
  // From .001, where nothing is called negative, to 1: three decades of tint.
  const depth = Math.min(Math.max(1 + Math.log10(Math.max(row.ratio ?? 0, 1e-3)) / 3, 0), 1);
  const said = `${rowText(row)}: ratio ${number(row.ratio)}, ${row.verdict}`;
  return element("td", {class: "number", style: {"--depth": `${Math.round(45 * depth)}%`}},
    element("a", {href: `#${rowId(row)}`, title: said},
      `${number(row.ratio, 2)} `, verdictMark(row), element("span", {class: "unseen"}, row.verdict)));
}

function matrix(report, choices) {
  const now = {run: ALL, label: ALL, group: ALL, verdict: ALL, text: "", key: report.many ? "lambda_min" : "run", up: true};
  const told = element("p", {class: "told", role: "status"});
  const body = element("tbody");
  const pages = pager((rows) => body.replaceChildren(...rows.map(matrixRow)));
  const heads = COLUMNS.map((column) => headCell(column, () => {
    now.up = now.key === column.key ? !now.up : true;
    now.key = column.key;
    draw();
  }));
  const draw = () => {
    const rows = sorted(rowsAt(report, choices.all).filter((row) => fits(row, now)), now);
    pages.show(rows);
    told.textContent = rows.length === 1 ? "1 line" : `${count(rows.length)} lines`;
    if (!rows.length) told.textContent = "No line fits these filters.";
    COLUMNS.forEach(({key, title}, k) => {
      const order = key !== now.key ? "none" : now.up ? "ascending" : "descending";
      heads[k].setAttribute("aria-sort", order);
      heads[k].firstChild.textContent = title + ARROWS[order];
    });
  };
  const caption = "Numbers of every run and class";
  const shell = scrolled(caption, element("table", {class: "matrix"},
    element("caption", {}, "Choose a heading to sort by it, and again to turn the order."),
    element("thead", {}, element("tr", {}, heads)), body));
  choices.follow(["split", "epoch"], draw);
  return [filters(report, (changed) => { Object.assign(now, changed); draw(); }), told, pages.box, shell];
}

function filters(report, onChange) {
  const id = freshId("text");
  const options = (all, ones) => [[ALL, all], ...ones];
  return element("div", {class: "filters", role: "group", "aria-label": "Filters of the table"},
    report.runs.length > 1 && select("Run", options("all runs", report.runs.map((r) => [String(r.place), r.text])), ALL, (run) => onChange({run})),
    report.many
      ? report.groups.length > 0 && select("Classes of", options("all groups", report.groups.map((g) => [g.name, g.text])), ALL, (group) => onChange({group}))
      : select("Class or group", options("all", report.labels.map((l) => [l.name, l.text])), ALL, (label) => onChange({label})),
    report.verdicts.length > 1 && select("Verdict", options("all verdicts", report.verdicts.map((v) => [v, v])), ALL, (verdict) => onChange({verdict})),
    element("div", {class: "field"}, element("label", {for: id}, "Text"),
      element("input", {id, type: "search", placeholder: report.many ? "class 17, any words" : "any words", oninput: (event) => onChange({text: event.target.value.toLowerCase()})})));
}

function fits(row, {run, label, group, verdict, text}) {
  const words = [row.run.text, row.label.text, row.verdict, row.sentence, row.reason, ...row.unusual].join(" ");
  return (run === ALL || run === String(row.run.place)) && (label === ALL || label === row.label.name)
    && (group === ALL || group === row.label.group)
    && (verdict === ALL || verdict === row.verdict) && words.toLowerCase().includes(text);
}

function sorted(rows, {key, up}) {
  const {value} = COLUMNS.find((column) => column.key === key);
  return byPlace(rows).sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    // What is not known stays at the end, whichever way is up.
    const known = x !== null && x !== undefined && y !== null && y !== undefined;
    return compare(x, y) * (up || !known ? 1 : -1);
  });
}

function headCell({title, numeric}, onChoice) {
  return element("th", {scope: "col", class: numeric && "number", "aria-sort": "none"},
    element("button", {type: "button", onclick: onChoice}, title));
}

function matrixRow(row) {
  return element("tr", {id: rowId(row), tabindex: -1}, COLUMNS.map(({cell, numeric, head, key}) =>
    element(head ? "th" : "td", {scope: head && "row", class: numeric ? "number" : key}, cell(row))));
}

function rowId(row) {
  return `row-${row.run.place}-${row.label.place}`;
}

function runCell(row) {
  return element("div", {}, row.run.text, row.epoch !== null && element("small", {}, `epoch ${row.epoch}`));
}

function classCell(row) {
  return element("span", {class: "named"}, swatch(row.label), row.label.text);
}

function verdictMark({verdict}) {
  return element("span", {class: "mark", "aria-hidden": "true"}, MARKS[verdict] ?? OTHER_MARK);
}

function verdictCell(row) {
  const notes = row.unusual.map((one) => element("small", {}, `Note: ${one}`));
  const away = row.stationary_distance === null ? "" : `, ${number(row.stationary_distance)} away`;
  const near = row.stationary && element("div", {}, `stationary point near by: ${row.stationary}${away}`);
  return element("div", {title: row.reason}, verdictMark(row), ` ${row.verdict}`, near, element("small", {class: "said"}, row.sentence), notes);
}

/** The value, and in a line below it what it is known to lie between. */
function extremeCell({value, sign, attained, beyond, probability, proven}, upper) {
  const [here, outside] = upper ? ["≥", "≤"] : ["≤", "≥"];
  const parts = [];
  if (attained !== null) parts.push(`${here} ${number(attained, 4)} ${proven ? "proven" : "estimated"}`);
  if (beyond !== null) parts.push(`${outside} ${number(beyond, 4)} at ${Math.round(100 * probability)} %`);
  return element("div", {}, sign && `${sign} `, number(value), parts.map((part) => element("small", {}, part)));
}

function percentOfLittle(fraction) {
  return fraction === null || fraction === undefined ? "–" : number(100 * fraction, 2);
}
