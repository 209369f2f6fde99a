// Certificates and provenance: what is proven of each extreme, and how to make every number again.

import {rowsAt, runText} from "./contents.js";
import {details, element, sentence, table} from "./elements.js";
import {number} from "./numbers.js";

const CERTIFICATE = [
  {title: "Run", whole: true}, {title: "Class", head: true}, {title: "λmin is at most", numeric: true}, {title: "λmin is at least", numeric: true},
  {title: "λmax is at least", numeric: true}, {title: "λmax is at most", numeric: true}, {title: "residual of λmin", numeric: true}, {title: "loss", numeric: true}, {title: "ρ*", numeric: true},
  {title: "What this rests on"}, {title: "What decided the verdict, and what would change it"},
];

export function provenanceSection(report, choices) {
  if (!report.sources.length) return [sentence("No analysis of a class is here, so there is nothing to certify.")];
  const certificates = element("div");
  choices.follow(["split", "epoch"], (now) => certificates.replaceChildren(table(
    "What is known of the extremes at the chosen checkpoint", CERTIFICATE, rowsAt(report, now), certificate)));
  return [
    sentence(`What was differentiated: ${report.function}.`),
    element("h3", {}, "Certificates"),
    sentence("Three statements that are never merged: λmin is at most a value that was computed in float64; an eigenvalue lies within the residual of it; and no eigenvalue lies beyond a bound, with a stated probability over the random start."),
    sentence("ρ* = 2‖gradient‖/|λmin|, in parameter units, is how far a step along the direction of λmin would have to go for bending to overtake the slope, if both stayed what they are here."),
    details("What is proven or estimated of each class", certificates),
    element("h3", {}, "How to make these numbers again"),
    ...sources(report.sources),
  ];
}

function certificate(row) {
  const {lambda_min: low, lambda_max: high} = row;
  return [
    runText(row), row.label.text, number(low.attained, 5), number(low.beyond, 5), number(high.attained, 5), number(high.beyond, 5),
    number(low.residual), number(row.loss), number(row.critical_radius),
    element("ul", {class: "plain"}, low.grounds.map((line) => element("li", {}, line))),
    element("div", {class: "why"}, `${row.reason}. ${row.next_step}`),
  ];
}

/** What all results share, once; then each with its command and what is its own. */
function sources(all) {
  const facts = all.map(factsOf);
  const shared = new Set([...facts[0].keys()].filter((name) => facts.every((one) => one.get(name) === facts[0].get(name))));
  const own = (one) => [...one].filter(([name]) => !shared.has(name));
  const columns = [{title: "Checkpoint", head: true}, {title: "Command"}, {title: "What is its own"}];
  const rows = all.map((source, k) => [
    element("div", {}, source.checkpoint, source.notes.map((note) => element("small", {}, `Note: ${note}`))),
    command(source.command), running(own(facts[k])),
  ]);
  return [
    sentence("CHECKPOINT in a command is the file or folder of the weights, whose SHA-256 stands beside it."),
    details(all.length > 1 ? "What all results share" : "What the result is of", pairs([...facts[0]].filter(([name]) => shared.has(name)))),
    details("Every result, and the command that makes it again", table("Results, with their commands", columns, rows)),
  ];
}

function factsOf(source) {
  const {choices, training, versions} = source;
  const named = (where, pairs) => Object.entries(pairs).map(([name, value]) => [`${where} ${name}`, value]);
  return new Map([
    ["result file", source.file || "–"], ["SHA-256 of the result file", source.file_digest || "–"],
    ["SHA-256 of the weights", source.weights_digest ?? "–"],
    ...named("analysis", choices), ...named("training", training), ...named("version", versions),
  ]);
}

/** A command that is broken between its words alone. */
function command(text) {
  return element("code", {}, text.split(" ").flatMap((word) => [element("span", {class: "whole"}, word), " "]));
}

/** Names and values in lines that fill their cell. */
function running(list) {
  return element("p", {class: "running"}, list.map(([name, value]) =>
    element("span", {}, element("span", {}, `${name} `), value)));
}

function pairs(list) {
  return element("dl", {class: "pairs"}, list.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]));
}
