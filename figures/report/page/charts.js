// The charts, by Observable Plot: densities on the symlog-log plane, and curves over epochs.

import {axisX, axisY, dot, gridX, gridY, line, plot, pointer, ruleX, ruleY, tip} from "@observablehq/plot";
import {element} from "./elements.js";
import {number, tick} from "./numbers.js";
import {FLOOR, curve, densityAt, stemHeight, thinned, ticksOf} from "./smoothing.js";

const MARGINS = {marginTop: 26, marginRight: 14, marginBottom: 42, marginLeft: 46};
const SMALL = {...MARGINS, marginTop: 10, marginBottom: 22, marginLeft: 40};
const GRID = {stroke: "var(--grid)", strokeOpacity: 1};
const AXIS = {color: "var(--faint)", tickSize: 0, labelArrow: "none"};
const TIP = {lineHeight: 1.3, fontSize: 12.5};
// Around 0 the eigenvalue axis is nearly linear up to this part of the linear range; the whole
// range then takes a quarter of the width, as in the figures.
const LINEAR_PART = 0.1;

/**
 * Draws into `box` as wide as it is, now and whenever its width changes; returns what draws again.
 * The width is asked of the observer alone: asking the box would lay the page out for every chart.
 */
export function fitted(box, draw) {
  let width = 0;
  const again = () => width && box.replaceChildren(draw(width));
  new ResizeObserver(([{contentRect}]) => {
    if (Math.floor(contentRect.width) === width) return;
    width = Math.floor(contentRect.width);
    again();
  }).observe(box);
  return again;
}

/**
 * Densities on one pair of axes.
 *
 * @param items [{name, text, ink, dashes, density}]
 * @param plane {half, linear, top, sigma}
 * @param small whether it is one panel of many: fewer labels
 */
export function densityChart(items, plane, {width, height, small = false, name}) {
  const {half, linear, top, sigma} = plane;
  const constant = LINEAR_PART * linear;
  const margins = small ? SMALL : MARGINS;
  const scale = (x) => Math.sign(x) * Math.log1p(Math.abs(x) / constant);
  const pixels = (width - margins.marginLeft - margins.marginRight) / (2 * scale(half));
  const decades = decadesBelow(top, small ? 3 : 2);
  const ticks = ticksOf(plane, small || width < 560 ? 2 : 5);
  const shown = items.map((item) => ({
    ...item,
    points: thinned(curve(item.density, sigma), (x) => scale(x) * pixels),
    stem: stemHeight(item.density.size, sigma),
  }));
  const marks = shown.flatMap((item) => [
    line(item.points, {x: (p) => p[0], y: (p) => floored(p[1]), stroke: item.ink, strokeDasharray: item.dashes, strokeWidth: 1.5}),
    ruleX(item.density.resolved, {x: (v) => v, y1: FLOOR, y2: item.stem + FLOOR, stroke: item.ink, strokeWidth: 1}),
    dot(item.density.resolved, {x: (v) => v, y: item.stem + FLOOR, r: 1.8, fill: item.ink}),
    dot([item.density.low], {x: (v) => v, y: FLOOR, symbol: "triangle", rotate: -90, r: 4.5, fill: item.ink}),
    dot([item.density.high], {x: (v) => v, y: FLOOR, symbol: "triangle", rotate: 90, r: 4.5, fill: item.ink}),
    dot(item.density.massless, {x: (v) => v, y: FLOOR, symbol: "times", r: 5, stroke: "currentColor"}),
  ]);
  const said = shown.flatMap((item) => [
    ...item.points.filter(([, y]) => y > 0).map(([x, y]) => ({x, y: floored(y), text: `${item.text}\neigenvalue ${number(x)}\ndensity ${number(y)}`})),
    ...item.density.resolved.map((x, k) => ({x, y: item.stem + FLOOR, text:
      `${item.text}\nresolved eigenvalue ${number(x, 4)}\nresidual ${number(item.density.residuals[k])}`})),
  ]);
  return picture({
    ...margins, width, height, ariaLabel: name, className: "chart",
    x: {type: "symlog", constant, domain: [-half, half]},
    y: {type: "log", domain: [FLOOR, top], clamp: true},
    marks: [
      gridX(ticks.all, GRID), gridY(decades, GRID),
      ruleX([0], {stroke: "var(--axis)"}), ruleY([FLOOR], {stroke: "var(--axis)"}),
      axisX(ticks.labelled, {...AXIS, tickFormat: tick, labelAnchor: "center", labelOffset: 36, label: small ? null : "eigenvalue (loss / parameter²), symmetric log scale"}),
      axisY(decades, {...AXIS, tickFormat: tick, label: small ? null : "density + 1e−7, log scale", labelAnchor: "top"}),
      ...marks,
      tip(said, pointer({x: "x", y: "y", title: "text", maxRadius: 60, ...TIP})),
    ],
  });
}

/** What a chart of densities shows, in a table: the density at the ticks of its axis. */
export function densityAtTicks(items, plane) {
  const places = ticksOf(plane, 4).labelled;
  const columns = [{title: "class", head: true}, ...places.map((x) => ({title: tick(x), numeric: true}))];
  const rows = items.map(({text, density}) =>
    [text, ...places.map((x) => exact(densityAt(density, x, plane.sigma)))]);
  return {columns, rows};
}

/**
 * Curves over epochs.
 *
 * @param series [{text, ink, dashes, symbol, points: [{epoch, value}]}]
 * @param y options of the scale, and `ticks` and `label` of its axis
 */
export function epochChart(series, {width, height, name, epochs, epoch, change, y, label, ticks}) {
  const said = series.flatMap((one) => one.points.map((p) => ({...p, text: `${one.text}\nepoch ${p.epoch}\n${number(p.value)}`})));
  return picture({
    ...MARGINS, width, height, ariaLabel: name, className: "chart", y,
    x: {domain: epochs.length > 1 ? [epochs[0], epochs.at(-1)] : [epochs[0] - 1, epochs[0] + 1]},
    marks: [
      gridY({ticks, ...GRID}),
      axisX({...AXIS, ticks: Math.min(6, Math.floor(width / 70)), label: "epoch", labelAnchor: "center", labelOffset: 36}),
      axisY({...AXIS, ticks, tickFormat: tick, label, labelAnchor: "top"}),
      change === null ? null : ruleX([change], {stroke: "var(--axis)", strokeDasharray: "2 3"}),
      ruleX([epoch], {stroke: "var(--accent)", strokeWidth: 6, strokeOpacity: 0.25}),
      ...series.flatMap((one) => [
        line(one.points, {x: "epoch", y: "value", stroke: one.ink, strokeDasharray: one.dashes, strokeWidth: 1.5}),
        dot(one.points, {x: "epoch", y: "value", symbol: one.symbol, r: 3.2, fill: one.ink, stroke: one.ink}),
      ]),
      tip(said, pointer({x: "epoch", y: "value", title: "text", ...TIP})),
    ],
  });
}

/**
 * Every class over its size, with bands of quantiles.
 *
 * @param groups [{text, ink, symbol, points: [{x, y, text}]}]
 * @param bands [{x, low, median, high}]
 * @param key `ratio`, on a log axis, or `lambda_min`, on a symlog one
 */
export function sizeChart(groups, bands, {width, height, name, label, key}) {
  const all = groups.flatMap(({points}) => points);
  const [xs, ys] = [all.map(({x}) => x).sort(ascending), all.map(({y}) => Math.abs(y)).filter(Boolean).sort(ascending)];
  const [least, most] = [10 ** Math.floor(Math.log10(ys[Math.floor(ys.length / 20)] ?? 1)), ys.at(-1) ?? 1];
  const powers = powersOfTen(key === "ratio" ? ys[0] ?? least : least, most);
  const signed = [all.some(({y}) => y < 0) && -1.3 * most, all.some(({y}) => y > 0) && 1.3 * most];
  const y = key === "ratio"
    ? {type: "log", domain: [(ys[0] ?? least) / 1.3, 1.3 * most]}
    : {type: "symlog", constant: least / 2, domain: [signed[0] || 0, signed[1] || least / 5]};
  const ticks = key === "ratio" ? powers : [...powers.map((p) => -p), 0, ...powers].filter((p) => y.domain[0] <= p && p <= y.domain[1]);
  const ofSizes = powersOfTen(xs[0], xs.at(-1));
  const said = all.map((p) => ({...p, text: `${p.text}\n${p.x} images\n${number(p.y)}`}));
  const ink = {stroke: "currentColor", x: "x"};
  return picture({
    ...MARGINS, marginLeft: 52, width, height, ariaLabel: name, className: "chart", y,
    x: {type: "log", domain: [xs[0] / 1.2, 1.2 * xs.at(-1)]},
    marks: [
      gridX(ofSizes, GRID), gridY(ticks, GRID),
      axisX(ofSizes, {...AXIS, tickFormat: tick, label: "training images of the class", labelAnchor: "center", labelOffset: 36}),
      axisY(ticks, {...AXIS, tickFormat: tick, label, labelAnchor: "top"}),
      ...groups.map(({points, ink: fill, symbol}) => dot(points, {x: "x", y: "y", r: 2, symbol, fill, fillOpacity: 0.5})),
      line(bands, {...ink, y: "low", strokeWidth: 0.8}), line(bands, {...ink, y: "high", strokeWidth: 0.8}),
      line(bands, {...ink, y: "median", strokeWidth: 2}),
      tip(said, pointer({x: "x", y: "y", title: "text", maxRadius: 30, ...TIP})),
    ],
  });
}

function ascending(a, b) {
  return a - b;
}

/** The powers of ten from `low` to `high`; both of them where there is none in between. */
function powersOfTen(low, high) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  if (last < first) return [low, high];
  return Array.from({length: last - first + 1}, (_, k) => 10 ** (first + k));
}

/** A chart is one image to a screen reader, which has the table beside it for the values. */
function picture(options) {
  const chart = plot(options);
  chart.setAttribute("role", "img");
  for (const part of chart.querySelectorAll("[aria-label]")) part.removeAttribute("aria-label");
  return chart;
}

/** Four digits to read, and all of them to copy. */
function exact(value) {
  return element("data", {value: String(value)}, number(value, 4));
}

export function figure(caption, box) {
  return element("figure", {}, box, element("figcaption", {}, caption));
}

/** Every `step`-th power of ten from 1 down to the floor, and up to the top. */
function decadesBelow(top, step) {
  const last = Math.round(Math.log10(top));
  const first = Math.round(Math.log10(FLOOR));
  return Array.from({length: last - first + 1}, (_, k) => first + k).filter((k) => k % step === 0).map((k) => 10 ** k);
}

function floored(density) {
  return density + FLOOR;
}
