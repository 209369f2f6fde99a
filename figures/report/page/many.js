// Many classes: what is said of each group, and every class against its size.

import {figure, fitted, sizeChart} from "./charts.js";
import {distinct, rowsAt} from "./contents.js";
import {element, sentence, table} from "./elements.js";
import {count, number} from "./numbers.js";

const NEGATIVE = "negative curvature";
// Classes of about one size share a band, whose tenths are then known to one place.
const IN_A_BAND = 25;
const BANDS = 12;
// More points than this make a page slow to open; every second one or fewer are then drawn.
const MOST_POINTS = 3000;
const ALL = {name: "", text: "all classes", ink: "var(--faint)", symbol: "circle"};

const COLUMNS = [
  {title: "Run", whole: true}, {title: "Group", head: true}, {title: "classes", numeric: true}, {title: "images of a class", numeric: true},
  {title: "λmin, a tenth below", numeric: true}, {title: "λmin, median", numeric: true}, {title: "λmin, nine tenths below", numeric: true},
  {title: "|λmin/λmax|, a tenth below", numeric: true}, {title: "|λmin/λmax|, median", numeric: true}, {title: "|λmin/λmax|, nine tenths below", numeric: true},
  {title: "negative curvature, % of classes", numeric: true},
];

/** The groups of every run in numbers, and the charts over size. */
export function groupsOverview(report, now) {
  const rows = rowsAt(report, now).filter(({label}) => label.isClass);
  const runs = report.runs.map((run) => [run, rows.filter((row) => row.run === run)]).filter(([, ofRun]) => ofRun.length);
  const lines = runs.flatMap(([run, ofRun]) =>
    [...report.groups, ALL].map((group) => groupLine(run, group, members(ofRun, group))).filter(Boolean));
  return element("div", {},
    table(`Groups of classes on the ${now.split ?? "given"} images`, COLUMNS, lines),
    runs.map(([run, ofRun]) => charts(report, run, ofRun)));
}

function members(rows, group) {
  return group === ALL ? rows : rows.filter(({label}) => label.group === group.name);
}

function groupLine(run, group, rows) {
  if (!rows.length) return null;
  const images = rows.map(imagesOf);
  const negative = rows.filter(({verdict}) => verdict === NEGATIVE).length;
  return [
    run.text, group.text, count(rows.length), range(Math.min(...images), Math.max(...images)),
    ...spread(rows.map((row) => row.lambda_min.value)).map((value) => number(value)),
    ...spread(rows.map((row) => row.ratio).filter((ratio) => ratio !== null)).map((value) => number(value)),
    (100 * negative / rows.length).toFixed(0),
  ];
}

function range(low, high) {
  return low === high ? count(low) : `${count(low)} to ${count(high)}`;
}

function charts(report, run, rows) {
  const groups = [...report.groups, ALL].map((group) => ({
    ...group, rows: group === ALL ? rows.filter(({label}) => label.group === null) : members(rows, group),
  }));
  const every = Math.ceil(rows.length / MOST_POINTS);
  const panel = (key, label, valueOf) => {
    const box = element("div", {class: "chart-box"});
    const points = ({rows: ones}) => ones.map((row) => ({x: imagesOf(row), y: valueOf(row), text: row.label.text}))
      .filter(({x, y}) => x > 0 && y !== null && (key !== "ratio" || y > 0));
    const all = points({rows});
    if (!all.length) return null;
    const drawn = groups.map((group) => ({...group, points: points(group).filter((_, k) => k % every === 0)}));
    const name = `${label} of ${count(all.length)} classes of ${run.text} over their training images`;
    fitted(box, (width) => sizeChart(drawn, bands(all), {width, height: 300, name, label, key}));
    return box;
  };
  const legend = element("p", {class: "legend"}, groups.filter((one) => one.rows.length).map((one) =>
    element("span", {class: "named"}, element("span", {class: "spot", style: {background: one.ink}}), one.text)));
  const thinned = every > 1 ? ` Of ${count(rows.length)} classes every ${every}th is drawn.` : "";
  return figure(
    `${run.text}: a point is a class, in the colour of its group. Line: median of classes of about that size; thin lines: a tenth and nine tenths of them.${thinned}`,
    element("div", {}, legend, element("div", {class: "panels two"},
      panel("ratio", "|λmin/λmax|, log scale", (row) => row.ratio),
      panel("lambda_min", "λmin (loss / parameter²), symlog scale", (row) => row.lambda_min.value))));
}

function imagesOf(row) {
  return row.label.images ?? row.n;
}

/** How values spread over classes of about one size; classes of one size stay together. */
export function bands(points) {
  const sorted = [...points].sort((a, b) => a.x - b.x);
  const wanted = Math.max(IN_A_BAND, Math.ceil(sorted.length / BANDS));
  const found = [];
  for (let first = 0; sorted.length - first >= IN_A_BAND;) {
    let last = Math.min(first + wanted, sorted.length);
    while (last < sorted.length && sorted[last].x === sorted[last - 1].x) last += 1;
    if (sorted.length - last < IN_A_BAND) last = sorted.length;
    const some = sorted.slice(first, last);
    const x = Math.exp(some.reduce((sum, p) => sum + Math.log(p.x), 0) / some.length);
    const [low, median, high] = spread(some.map(({y}) => y));
    found.push({x, low, median, high});
    first = last;
  }
  return found.length > 1 ? found : [];
}

/** A tenth, the median and nine tenths, as NumPy's quantiles. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return [0.1, 0.5, 0.9].map((share) => {
    const at = share * (sorted.length - 1);
    const low = Math.floor(at);
    return sorted.length ? sorted[low] + (at - low) * ((sorted[low + 1] ?? sorted[low]) - sorted[low]) : null;
  });
}

/** Medians of the groups of one run over training: series of a chart of curves. */
export function groupSeries(report, run, {split}) {
  const ofRun = report.rows.filter((row) => row.run === run && row.split === split && row.epoch !== null && row.label.isClass);
  return report.groups.map((group) => {
    const rows = members(ofRun, group);
    const points = distinct(rows.map(({epoch}) => epoch)).sort((a, b) => a - b).map((epoch) => {
      const those = rows.filter((row) => row.epoch === epoch);
      return {
        epoch, ratio: spread(those.map(({ratio}) => ratio).filter((ratio) => ratio !== null))[1],
        lambda_min: spread(those.map((row) => row.lambda_min.value))[1],
      };
    });
    return {label: {...group, text: `median of ${group.text}`}, points};
  }).filter(({points}) => points.length > 1);
}

/** What the samples of classes say of their groups. */
export function samples(report) {
  return report.samples.map((text) => sentence(text));
}
