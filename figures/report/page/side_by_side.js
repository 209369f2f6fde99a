// Two runs side by side: one class's densities on common axes, and every class's numbers.

import {densityChart, figure, fitted} from "./charts.js";
import {rowsAt, runText} from "./contents.js";
import {element, select, sentence, table} from "./elements.js";
import {number, percent} from "./numbers.js";

export function sideBySideSection(report, choices) {
  if (report.runs.length < 2) {
    return [sentence("Fewer than two runs are here. 'spectra report RUN1 RUN2' puts two side by side.")];
  }
  const options = report.runs.map((run) => [String(run.place), run.text]);
  const drawn = report.labels.filter((label) => report.rows.some((row) => row.label === label && row.density));
  const lowest = (drawn.find(({name}) => name === "tail" || name === "few") ?? drawn.at(-1) ?? report.labels.at(-1)).name;
  const [left, right, numbers] = [element("div"), element("div"), element("div")];
  choices.change({left: 0, right: 1, facing: lowest});
  choices.follow(["split", "epoch", "left", "right", "facing", "sigma"], (now) => {
    left.replaceChildren(side(report, now, now.left));
    right.replaceChildren(side(report, now, now.right));
  });
  choices.follow(["split", "epoch", "left", "right"], (now) => numbers.replaceChildren(comparison(report, now)));
  return [
    element("div", {class: "filters"},
      select("Left", options, "0", (place) => choices.change({left: Number(place)})),
      select("Right", options, "1", (place) => choices.change({right: Number(place)})),
      select("Densities of", (report.many && drawn.length ? drawn : report.labels).map((l) => [l.name, l.text]), lowest, (facing) => choices.change({facing}))),
    element("div", {class: "panels two"}, left, right),
    numbers,
  ];
}

function side(report, now, place) {
  const row = rowsAt(report, now).find((one) => one.run.place === place && one.label.name === now.facing);
  const name = report.runs[place].text;
  if (!row?.density) return sentence(`${name} has no density of ${report.byName.get(now.facing).text} at this checkpoint.`);
  const {label, density} = row;
  const box = element("div", {class: "chart-box"});
  const item = {text: label.text, ink: label.ink, dashes: null, density};
  fitted(box, (width) => densityChart([item], {...report.plane, sigma: now.sigma}, {
    width, height: 260, name: `Spectral density of ${label.text} of ${runText(row)}`,
  }));
  const told = `${runText(row)}, ${label.text}: λmin ${number(row.lambda_min.value)}, λmax ${number(row.lambda_max.value)}, ratio ${number(row.ratio)}`;
  return figure(told, box);
}

function comparison(report, now) {
  const rows = new Map(rowsAt(report, now).map((row) => [`${row.run.place} ${row.label.place}`, row]));
  const of = (place, label) => rows.get(`${place} ${label.place}`);
  const pairs = report.labels.map((label) => [label, of(now.left, label), of(now.right, label)]).filter(([, a, b]) => a || b);
  const [a, b] = [report.runs[now.left].text, report.runs[now.right].text];
  const twice = (title) => [{title: `${title}, ${a}`, numeric: true}, {title: `${title}, ${b}`, numeric: true}];
  const columns = [
    {title: "Class", head: true}, ...twice("λmin"), ...twice("|λmin/λmax|"), {title: "ratio, right over left", numeric: true},
    ...twice("right, test %"), {title: "verdict", whole: true},
  ];
  const cells = ([label, x, y]) => [
    label.text, number(x?.lambda_min.value), number(y?.lambda_min.value), number(x?.ratio), number(y?.ratio),
    x?.ratio && y?.ratio ? number(y.ratio / x.ratio) : "–",
    percent(x?.accuracy_test), percent(y?.accuracy_test), verdicts(x?.verdict, y?.verdict),
  ];
  return table(`${a} beside ${b}, ${now.split ?? "given"} images`, columns, pairs, cells);
}

function verdicts(left = "–", right = "–") {
  return left === right ? left : `${left} → ${right}`;
}
