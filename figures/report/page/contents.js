// The document that is embedded in the page, made ready for drawing. figures/report/contents.py
// says what stands in it.

import {commonTop} from "./smoothing.js";

const FORMAT = "spectra.report";
const SCHEMA = 1;
// Of more losses than this, groups are shown at a glance, and curves only of chosen classes; as MANY
// in spectra/results/groups/many.py.
const MANY = 200;
// Dashes are given for lines of a point, and drawn twice as thick.
const ON_SCREEN = 2;
// How far the eigenvalue axis goes beyond the largest eigenvalue of all.
const MARGIN = 1.3;
// matplotlib's markers, by the nearest symbol that Observable Plot has.
const SYMBOLS = {
  o: "circle", s: "square", "^": "triangle", D: "diamond", v: "wye", P: "cross", X: "times",
  p: "star", "<": "asterisk", ">": "plus",
};

export function readReport() {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  if (report.format !== FORMAT || report.schema !== SCHEMA) {
    throw new Error(`expected a document of ${FORMAT}, schema ${SCHEMA}`);
  }
  const labels = report.labels.map((label, place) => styled(label, `--label-${place}`, place));
  const groups = report.groups.map((group, place) => styled(group, `--group-${place}`, place));
  const runs = report.runs.map((run, place) => ({...run, place}));
  const byName = new Map(labels.map((label) => [label.name, label]));
  const rows = report.rows.map((row) => ({
    ...row,
    run: runs[row.run],
    label: byName.get(row.label),
    source: report.sources[row.source],
    density: row.density && decoded(row),
  }));
  return {
    ...report, labels, groups, many: labels.length > MANY, runs, rows, byName, plane: report.axes && planeOf(rows, report.axes),
    splits: distinct(rows.map((row) => row.split)),
    epochs: distinct(rows.map((row) => row.epoch).filter((epoch) => epoch !== null)).sort((a, b) => a - b),
    verdicts: distinct(rows.map((row) => row.verdict)),
  };
}

/**
 * The plane of all densities: symmetric, so that λmin and λmax can be compared by eye, and high
 * enough for the narrowest σ of the slider.
 */
function planeOf(rows, {linear, sigma_least: least}) {
  const densities = rows.filter((row) => row.density).map((row) => row.density);
  const largest = Math.max(...densities.flatMap(({low, high}) => [Math.abs(low), Math.abs(high)]));
  return {half: Math.max(10 * linear, MARGIN * largest), linear, top: commonTop(densities, least)};
}

/** The rows that are shown: of each run its last checkpoint up to `epoch`, or its first. */
export function rowsAt(report, {split, epoch}) {
  const ofSplit = report.rows.filter((row) => row.split === split);
  return report.runs.flatMap((run) => {
    const ofRun = ofSplit.filter((row) => row.run === run);
    const epochs = distinct(ofRun.map((row) => row.epoch)).sort((a, b) => a - b);
    const shown = epochs.findLast((one) => one === null || one <= epoch) ?? epochs[0];
    return byPlace(ofRun.filter((row) => row.epoch === shown));
  });
}

/** What a row is of, for people: `class 8 of ce-drw, epoch 200`. */
export function rowText(row) {
  return `${row.label.text} of ${runText(row)}`;
}

export function runText(row) {
  return row.epoch === null ? row.run.text : `${row.run.text}, epoch ${row.epoch}`;
}

export function byPlace(rows) {
  return [...rows].sort((a, b) => a.label.place - b.label.place);
}

export function distinct(values) {
  return [...new Set(values)];
}

/** Which labels the charts begin with: of those with a density, and of those with a trajectory. */
export function firstShown({labels, rows}) {
  const dense = new Set(rows.filter((row) => row.density).map((row) => row.label));
  const epochs = new Map(labels.map((label) => [label, new Set()]));
  for (const row of rows) epochs.get(row.label).add(row.epoch);
  const withDensity = labels.filter((label) => dense.has(label));
  const overEpochs = labels.filter((label) => epochs.get(label).size > 1);
  return new Set([...headAndTail(withDensity), ...headAndTail(overEpochs)].map(({name}) => name));
}

/** Groups, or the classes of most and of fewest images. */
function headAndTail(labels) {
  const groups = labels.filter(({name}) => ["head", "many", "tail", "few", "overall"].includes(name));
  return groups.length > 1 ? groups : [...labels.slice(0, 1), ...labels.slice(-1)];
}

function styled(one, variable, place) {
  return {
    ...one, place, variable, isClass: /^\d+$/.test(one.name), ink: `var(${variable})`,
    dashes: one.dash.map((length) => ON_SCREEN * length).join(" ") || null, symbol: SYMBOLS[one.marker] ?? "circle",
  };
}

function decoded({density, lambda_min, lambda_max}) {
  return {
    ...density, nodes: floats(density.nodes), weights: floats(density.weights),
    low: lambda_min.value, high: lambda_max.value,
  };
}

/** Little-endian float32 in base64, as numbers. */
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({length: bytes.length / 4}, (_, k) => view.getFloat32(4 * k, true));
}
