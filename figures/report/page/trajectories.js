// Trajectories: |λmin/λmax| and λmin of every class over the training.

import {epochChart, figure, fitted} from "./charts.js";
import {byPlace} from "./contents.js";
import {labelChoice} from "./densities.js";
import {details, element, sentence, table} from "./elements.js";
import {groupSeries} from "./many.js";
import {number} from "./numbers.js";

export function trajectoriesSection(report, choices) {
  if (report.missing.trajectories) return [sentence(report.missing.trajectories)];
  const panels = element("div", {class: "panels two"});
  const values = element("div");
  const draw = (now) => {
    const runs = report.runs.map((run) => ({run, series: seriesOf(report, run, now)})).filter(({series}) => series.length);
    if (!runs.length) {
      panels.replaceChildren(sentence("None of the chosen classes has two checkpoints on these images."));
      values.replaceChildren();
      return;
    }
    const all = runs.flatMap(({series}) => series.flatMap(({points}) => points));
    const scales = {ratio: ratioScale(all.map((p) => p.ratio)), lambda_min: lambdaScale(all.map((p) => p.lambda_min))};
    panels.replaceChildren(...runs.flatMap((one) => [
      panel(report, one, now, "ratio", "|λmin/λmax|, log scale", scales.ratio),
      panel(report, one, now, "lambda_min", "λmin (loss / parameter²), symlog scale", scales.lambda_min),
    ]));
    values.replaceChildren(...runs.map(({run, series}) => valueTable(run, series)));
  };
  choices.follow(["split", "epoch", "shown"], draw);
  return [
    sentence(`${report.many ? "The median of each group of classes, and chosen classes, over the training" : "One line for each class over the training"}, runs on common axes. The broad stripe is the chosen checkpoint; a dotted line is where re-weighting set in.`),
    labelChoice(report, choices, "Classes"),
    panels,
    details("The same as a table", values),
  ];
}

/** Of many classes the medians of groups come first, and then the classes that are chosen. */
function seriesOf(report, run, now) {
  const ofGroups = report.many ? groupSeries(report, run, now) : [];
  return [...ofGroups, ...ofLabels(report, run, now)];
}

function ofLabels(report, run, {split, shown}) {
  return report.labels.filter(({name}) => shown.has(name)).map((label) => {
    const rows = report.rows.filter((r) => r.run === run && r.label === label && r.split === split && r.epoch !== null);
    const points = rows.sort((a, b) => a.epoch - b.epoch)
      .map((r) => ({epoch: r.epoch, ratio: r.ratio, lambda_min: r.lambda_min.value}));
    return {label, points};
  }).filter(({points}) => points.length > 1);
}

function panel(report, {run, series}, {epoch}, key, what, {y, ticks}) {
  const box = element("div", {class: "chart-box"});
  const drawn = series.map(({label, points}) => ({
    ...label, points: points.filter((p) => p[key] !== null).map((p) => ({epoch: p.epoch, value: p[key]})),
  }));
  const name = `${what} of ${run.text} over the epochs`;
  fitted(box, (width) => epochChart(drawn, {
    width, height: 240, name, epochs: report.epochs, epoch, change: run.switch_epoch, y, ticks, label: what,
  }));
  return element("figure", {}, element("figcaption", {}, element("strong", {}, run.text)), box);
}

/** Whole decades; from .001 to 1 where no ratio is known. */
function ratioScale(values) {
  const known = values.filter((v) => v > 0);
  if (!known.length) known.push(1e-3, 1);
  const [low, high] = [Math.floor(Math.log10(Math.min(...known))), Math.ceil(Math.log10(Math.max(...known)) + 1e-9)];
  const ticks = Array.from({length: high - low + 1}, (_, k) => 10 ** (low + k));
  return {y: {type: "log", domain: [10 ** low, 10 ** high]}, ticks};
}

/** Linear within a thousandth of the largest, so that values of both signs fit. */
function lambdaScale(values) {
  const largest = 10 ** Math.ceil(Math.log10(Math.max(...values.map(Math.abs), 1e-12)));
  const low = values.some((v) => v < 0) ? -largest : 0;
  const high = values.some((v) => v > 0) || low === 0 ? largest : 0;
  const powers = [largest, largest / 10, largest / 100];
  const ticks = [...powers.map((p) => -p), 0, ...powers].filter((t) => low <= t && t <= high);
  return {y: {type: "symlog", constant: largest / 1000, domain: [low, high]}, ticks};
}

function valueTable(run, series) {
  const epochs = [...new Set(series.flatMap(({points}) => points.map((p) => p.epoch)))].sort((a, b) => a - b);
  const columns = [{title: "epoch", head: true}, ...byPlace(series).flatMap(({label}) =>
    [{title: `${label.text}, ratio`, numeric: true}, {title: `${label.text}, λmin`, numeric: true}])];
  const rows = epochs.map((epoch) => [String(epoch), ...byPlace(series).flatMap(({points}) => {
    const point = points.find((p) => p.epoch === epoch);
    return [number(point?.ratio), number(point?.lambda_min)];
  })]);
  return table(`${run.text} over the epochs`, columns, rows);
}
