// Images that carry the curvature of a loss.

import {element, sentence} from "./elements.js";
import {number, percent} from "./numbers.js";

export function imagesSection(report) {
  if (report.missing.images) return [sentence(report.missing.images)];
  return report.images.map((one) => {
    const label = report.byName.get(one.label)?.text ?? one.label;
    return element("article", {},
      element("h3", {}, `${one.text}, ${label}, ${one.split} images`),
      sentence(one.sentence),
      gallery(`Images that carry λmin = ${number(one.lambda_min)}`, one.lowest),
      gallery(`Images that carry λmax = ${number(one.lambda_max)}`, one.highest));
  });
}

function gallery(title, images) {
  if (!images.length) return null;
  return element("div", {}, element("h4", {}, title), element("ul", {class: "gallery"}, images.map(card)));
}

function card({position, label, predicted, loss, share, picture}) {
  const right = label === predicted ? "classified rightly" : `taken for class ${predicted}`;
  const shown = picture?.startsWith("data:image/png;base64,")
    ? element("img", {src: picture, alt: `image ${position} of class ${label}`}) : null;
  return element("li", {}, shown, element("strong", {}, `${percent(share, 0)} %`),
    element("small", {}, `image ${position}, class ${label}, ${right}, loss ${number(loss)}`));
}
