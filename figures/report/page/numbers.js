// Numbers as the tables and the terminal of spectra write them: a true minus sign, a dash for none.

const DASH = "–";

export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return DASH;
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 1e-4 || size >= 1e6) return minus(value.toExponential(digits - 1).replace("e+", "e"));
  const rounded = value.toPrecision(digits);
  return minus(rounded.includes("e") ? String(Number(rounded)) : rounded);
}

/** A tick of an axis, most often a power of ten: 0.1, 10, 1e−4. */
export function tick(value) {
  const size = Math.abs(value);
  const short = value === 0 || (size > 5e-3 && size < 1e4);
  return minus(short ? String(Number(value.toPrecision(3))) : value.toExponential(0).replace("e+", "e"));
}

function minus(text) {
  return text.replaceAll("-", "−");
}

export function percent(fraction, digits = 1) {
  return fraction === null || fraction === undefined ? DASH : (100 * fraction).toFixed(digits);
}

export function count(value) {
  return value === null || value === undefined ? DASH : value.toLocaleString("en-US");
}

/** Names compare as people count: class 9 before class 10. Nothing known comes last. */
export function compare(a, b) {
  const [none, nothing] = [a === null || a === undefined, b === null || b === undefined];
  if (none || nothing) return none === nothing ? 0 : none ? 1 : -1;
  if (typeof a === "string") return a.localeCompare(b, "en", {numeric: true});
  return a - b;
}
