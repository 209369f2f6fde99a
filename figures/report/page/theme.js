// Colours of classes and runs, and the switch between light and dark.

import {element} from "./elements.js";

const NAMES = {auto: "Theme: system", light: "Theme: light", dark: "Theme: dark"};

/**
 * Gives every label its colour as a CSS variable: that of the figures, and on a dark page a
 * lighter one, for dark blue on black could not be seen.
 */
export function defineColours(styles) {
  const rules = styles.map(({variable, colour, colour_on_dark: onDark}) => `${variable}: light-dark(${colour}, ${onDark});`);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`:root { ${rules.join(" ")} }`);
  document.adoptedStyleSheets.push(sheet);
}

export function themeSwitch() {
  const order = Object.keys(NAMES);
  let now = 0;
  const button = element("button", {type: "button", class: "theme", onclick: () => {
    now = (now + 1) % order.length;
    document.documentElement.style.colorScheme = order[now] === "auto" ? "" : order[now];
    button.textContent = NAMES[order[now]];
  }}, NAMES.auto);
  return button;
}

/** A short stroke in the way that a label's curve is drawn: colour and dashes. */
export function swatch({ink, dashes}) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const line = document.createElementNS(space, "line");
  const looks = {x1: 0, x2: 26, y1: 5, y2: 5, "stroke-width": 2.5, "stroke-dasharray": dashes ?? "none"};
  for (const [name, value] of Object.entries(looks)) line.setAttribute(name, value);
  line.style.stroke = ink;
  svg.setAttribute("viewBox", "0 0 26 10");
  svg.setAttribute("class", "swatch");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line);
  return svg;
}
