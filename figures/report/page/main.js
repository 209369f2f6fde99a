// The page: its document, the choices that all sections share, and the sections.

import {Choices} from "./choices.js";
import {firstShown, readReport} from "./contents.js";
import {imagesSection} from "./curvature_images.js";
import {densitiesSection} from "./densities.js";
import {select, slider} from "./elements.js";
import {verdictsSection} from "./matrix.js";
import {protocolsSection} from "./protocols.js";
import {provenanceSection} from "./provenance.js";
import {sideBySideSection} from "./side_by_side.js";
import {defineColours, themeSwitch} from "./theme.js";
import {trajectoriesSection} from "./trajectories.js";

const report = readReport();
defineColours([...report.labels, ...report.groups]);
const choices = new Choices({
  split: report.splits.includes("train") ? "train" : report.splits[0],
  epoch: report.epochs.at(-1) ?? null,
  sigma: report.axes?.sigma ?? null,
  shown: firstShown(report),
});

document.getElementById("live").hidden = false;
document.getElementById("summary").textContent = [report.summary, report.function && `What was differentiated: ${report.function}.`].join(" ");
document.getElementById("choices").append(...toolbar());
for (const [id, section] of Object.entries({
  verdicts: verdictsSection, densities: densitiesSection, trajectories: trajectoriesSection, "side-by-side": sideBySideSection,
  images: imagesSection, protocols: protocolsSection, provenance: provenanceSection,
})) document.getElementById(id).append(...section(report, choices));
openForPrint();

function toolbar() {
  const parts = [];
  if (report.splits.length > 1) {
    parts.push(select("Images", report.splits.map((split) => [split, split]), choices.all.split, (split) => choices.change({split})));
  }
  if (report.epochs.length > 1) {
    const last = report.epochs.at(-1);
    parts.push(slider("Checkpoint", {
      steps: report.epochs.length, start: report.epochs.length - 1, say: (step) => `epoch ${report.epochs[step]} of ${last}`,
      onMove: (step) => choices.change({epoch: report.epochs[step]}),
    }));
  }
  return [...parts, themeSwitch()];
}

/** On paper everything is open, and as it was again afterwards. */
function openForPrint() {
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of closed) one.open = false;
  });
}
