// Densities: every class on the same axes, smoothed in the page with one σ.

import {densityAtTicks, densityChart, figure, fitted} from "./charts.js";
import {rowsAt, runText} from "./contents.js";
import {details, element, freshId, select, sentence, slider, table} from "./elements.js";
import {count, number} from "./numbers.js";
import {swatch} from "./theme.js";

// Positions of the slider of σ: a step is then about 3 per cent.
const STEPS = 201;

export function densitiesSection(report, choices) {
  if (report.missing.densities) return [sentence(report.missing.densities)];
  const chosen = element("div", {class: "wide-chart"});
  const panels = element("div", {class: "panels"});
  const [caption, values] = [element("p", {class: "told", role: "status"}), element("div")];
  const draw = () => {
    const items = itemsOf(report, choices.all);
    const plane = {...report.plane, sigma: choices.all.sigma};
    caption.textContent = captionOf(items, plane);
    panels.replaceChildren(...items.map((item) => panel(item, plane)));
    const {columns, rows} = densityAtTicks(items, plane);
    values.replaceChildren(table(`Density of the curve at some eigenvalues, σ = ${number(plane.sigma)}`, columns, rows));
    overlay();
  };
  const overlay = fitted(chosen, (width) => {
    const items = itemsOf(report, choices.all).filter(({label}) => choices.all.shown.has(label.name));
    if (!items.length) return sentence("No class is chosen, or none of those has a density at this checkpoint.");
    const name = `Spectral densities of ${items.map(({text}) => text).join(", ")}`;
    return densityChart(items, {...report.plane, sigma: choices.all.sigma}, {width, height: Math.min(420, 220 + width / 4), name});
  });
  choices.follow(["split", "epoch", "densityRun", "sigma"], draw);
  choices.follow(["shown"], report.many ? draw : overlay);
  return [
    element("div", {class: "filters"}, runChoice(report, choices), sigmaSlider(report, choices)),
    labelChoice(report, choices, "Classes on the first chart"),
    figure("Chosen classes on one pair of axes. Lines with a dot: resolved eigenvalues, 1/P each, as high as their Gaussian. Curve: the rest. Triangles: λmin and λmax. Crosses: nodes that carry no mass and belong to no eigenvalue.", chosen),
    caption,
    element("h3", {}, report.many ? "Each chosen class on the same axes" : "Every class on the same axes"),
    panels,
    details("The same as a table", values),
  ];
}

/** Of many classes those that are chosen; a thousand panels are seen by nobody. */
function itemsOf(report, {split, epoch, densityRun, shown}) {
  return rowsAt(report, {split, epoch})
    .filter((row) => row.density && row.run.place === densityRun && (!report.many || shown.has(row.label.name)))
    .map((row) => ({row, label: row.label, text: row.label.text, ink: row.label.ink, dashes: row.label.dashes, density: row.density}));
}

function panel(item, plane) {
  const box = element("div", {class: "chart-box"});
  const {density, row} = item;
  const told = `λmin ${number(row.lambda_min.value)}, λmax ${number(row.lambda_max.value)}; ${density.resolved.length} resolved of P = ${count(density.size)}`;
  fitted(box, (width) => densityChart([{...item, dashes: null}], plane, {width, height: 150, small: true, name: `Spectral density of ${item.text}: ${told}`}));
  return element("figure", {}, element("figcaption", {}, element("strong", {}, swatch(item.label), item.text), ` ${told}`), box);
}

function captionOf(items, {sigma}) {
  if (!items.length) return "No density at this checkpoint, on these images: only λmin and λmax were computed. Move the slider, or analyze it with --num-probes 2.";
  const {row, density} = items[0];
  return `${runText(row)}, ${row.split ?? "given"} images. Gaussian smoothing, σ = ${number(sigma)}; `
    + `${density.probes} random probes of up to ${density.steps} Lanczos steps; P = ${count(density.size)} parameters. `
    + "The eigenvalue axis is symmetric about 0, linear near it and logarithmic further out.";
}

function runChoice(report, choices) {
  const withDensity = report.runs.filter((run) => report.rows.some((row) => row.density && row.run === run));
  choices.change({densityRun: withDensity[0].place});
  if (withDensity.length < 2) return null;
  const options = withDensity.map((run) => [String(run.place), run.text]);
  return select("Run", options, options[0][0], (run) => choices.change({densityRun: Number(run)}));
}

function sigmaSlider(report, choices) {
  const {sigma, sigma_least: least, sigma_most: most} = report.axes;
  const ofStep = (step) => least * (most / least) ** (step / (STEPS - 1));
  const start = Math.round((STEPS - 1) * Math.log(sigma / least) / Math.log(most / least));
  // The middle of the slider is the σ of the figures, to the digit.
  const chosen = (step) => (step === start ? sigma : ofStep(step));
  return slider("Smoothing σ", {
    steps: STEPS, start, say: (step) => `σ = ${number(chosen(step))}`, onMove: (step) => choices.change({sigma: chosen(step)}),
  });
}

/** Which labels the charts of curves show; shared by the sections that have such charts. */
export function labelChoice(report, choices, title) {
  if (report.many) return searchedChoice(report, choices, title);
  const boxes = report.labels.map((label) => {
    const box = element("input", {type: "checkbox", value: label.name, onchange: () => {
      const shown = new Set(choices.all.shown);
      if (box.checked) shown.add(label.name);
      else shown.delete(label.name);
      choices.change({shown});
    }});
    return box;
  });
  choices.follow(["shown"], ({shown}) => boxes.forEach((box) => { box.checked = shown.has(box.value); }));
  const all = (some) => () => choices.change({shown: new Set(some ? report.labels.map(({name}) => name) : [])});
  return element("fieldset", {class: "chips"}, element("legend", {}, title),
    boxes.map((box, k) => element("label", {}, box, swatch(report.labels[k]), report.labels[k].text)),
    element("button", {type: "button", onclick: all(true)}, "all"),
    element("button", {type: "button", onclick: all(false)}, "none"));
}

/** The same for many: chosen labels, and a field that adds one by its name. */
function searchedChoice(report, choices, title) {
  const [id, list] = [freshId("add"), freshId("names")];
  const chosen = element("span", {class: "chips"});
  const field = element("input", {id, type: "search", list, placeholder: "class 17", onchange: () => {
    const label = report.labels.find(({name, text}) => [name, text].includes(field.value.trim()));
    if (!label) return;
    field.value = "";
    choices.change({shown: new Set([...choices.all.shown, label.name])});
  }});
  choices.follow(["shown"], ({shown}) => chosen.replaceChildren(...report.labels.filter(({name}) => shown.has(name)).map((label) =>
    element("button", {type: "button", "aria-label": `Take ${label.text} away`, onclick: () =>
      choices.change({shown: new Set([...choices.all.shown].filter((name) => name !== label.name))}),
    }, swatch(label), label.text, " ✕"))));
  return element("fieldset", {class: "chips"}, element("legend", {}, title), chosen,
    element("label", {for: id}, "add"), field,
    element("datalist", {id: list}, report.labels.map(({text}) => element("option", {value: text}))));
}
