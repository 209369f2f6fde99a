// Protocols: the same loss under several choices of images, and under the published recurrence.

import {element, sentence, table} from "./elements.js";
import {number} from "./numbers.js";

const COLUMNS = [
  {title: "Class", head: true}, {title: "Protocol", whole: true}, {title: "λmin", numeric: true}, {title: "λmax", numeric: true},
  {title: "|λmin/λmax|", numeric: true}, {title: "lowest node", numeric: true}, {title: "highest node", numeric: true},
  {title: "|ratio of nodes|", numeric: true}, {title: "mass of lowest node × P", numeric: true},
  {title: "|α|/β", numeric: true}, {title: "‖gradient‖", numeric: true}, {title: "Verdict", whole: true},
];

export function protocolsSection(report) {
  if (report.missing.protocols) return [sentence(report.missing.protocols)];
  return [
    sentence("A protocol is a choice of the images that a product is taken over. Plain and frozen images give one matrix, whose eigenvalues exist. Fresh ones are drawn anew at every product: then there is no matrix, and what comes out are nodes of a recurrence."),
    sentence("|α|/β tells the two apart: α are the diagonal entries of the tridiagonal matrix, β those beside it. Near 0, the spectrum that the recurrence shows is symmetric about 0 whatever the loss is. A node whose mass × P is far below 1 belongs to no eigenvalue."),
    ...report.protocols.map((one) => element("article", {}, element("h3", {}, one.text), table(
      `Protocols beside each other, ${one.text}`, COLUMNS, one.rows.map((row) => cells(report, row))))),
  ];
}

function cells(report, row) {
  const label = report.byName.get(row.label)?.text ?? row.label;
  return [
    label, row.protocol, number(row.lambda_min), number(row.lambda_max), number(row.ratio), number(row.node_min),
    number(row.node_max), number(row.node_ratio), number(row.mass_min), number(row.alpha_over_beta),
    number(row.grad_norm), row.verdict,
  ];
}
