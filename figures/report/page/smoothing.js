// A density from its raw quadrature: sums of Gaussians, as figures/style/spectral_axes.py has them.

// What the density axis begins at, as in the figures.
export const FLOOR = 1e-7;
const CEILING = 10;
// Of the floor: less than this is no paint.
const NOTHING = 1e-3;
// Samples a standard deviation, and how many of them a bell reaches: 2e-11 of its height is left.
const PER_SIGMA = 5;
const REACH = 7;
const ROOT = Math.sqrt(2 * Math.PI);

/** The density of what is not resolved at `x`, in 1 / eigenvalue units. `nodes` rise. */
export function densityAt({nodes, weights}, x, sigma) {
  let sum = 0;
  for (let k = firstFrom(nodes, x - REACH * sigma); k < nodes.length && nodes[k] <= x + REACH * sigma; k++) {
    const z = (x - nodes[k]) / sigma;
    sum += weights[k] * Math.exp(-0.5 * z * z);
  }
  return sum / (sigma * ROOT);
}

/** How high the bell of one eigenvalue of `size` is. */
export function stemHeight(size, sigma) {
  return 1 / (size * sigma * ROOT);
}

/**
 * The curve where it is not zero: sampled finely around every node, [[x, y], ...], x rising.
 * A grid even on the axis would step over the peaks of single eigenvalues.
 */
export function curve(density, sigma) {
  const step = sigma / PER_SIGMA;
  const places = new Set();
  for (const node of density.nodes) {
    const middle = Math.round(node / step);
    for (let k = -REACH * PER_SIGMA; k <= REACH * PER_SIGMA; k++) places.add(middle + k);
  }
  const xs = [...places].sort((a, b) => a - b).map((place) => place * step);
  for (const end of [density.low, density.high]) xs.splice(firstFrom(xs, end), 0, end);
  return xs
    .filter((x) => density.low <= x && x <= density.high)
    .map((x) => [x, densityAt(density, x, sigma)]);
}

/**
 * The few of `points` that are seen: of all that fall on one pixel column the first, the lowest,
 * the highest and the last; a NaN between two that lie so low that the line between them is no
 * paint. `column` returns the pixel of an x.
 */
export function thinned(points, column) {
  const seen = [];
  for (let start = 0, end; start < points.length; start = end) {
    const here = Math.round(column(points[start][0]));
    let [low, high] = [start, start];
    for (end = start; end < points.length && Math.round(column(points[end][0])) === here; end++) {
      if (points[end][1] < points[low][1]) low = end;
      if (points[end][1] > points[high][1]) high = end;
    }
    const kept = new Set([start, low, high, end - 1]);
    for (const k of [...kept].sort((a, b) => a - b)) seen.push(points[k]);
  }
  const unseen = (point) => point?.[1] < NOTHING * FLOOR;
  return seen.flatMap((point, k) =>
    unseen(point) && unseen(seen[k + 1]) ? [point, [point[0], NaN]] : [point]);
}

/** The power of ten that all curves and stems stay below. */
export function commonTop(densities, sigma) {
  const peaks = densities.map((d) =>
    Math.max(stemHeight(d.size, sigma), ...d.nodes.map((node) => densityAt(d, node, sigma))));
  return Math.max(CEILING, powerOfTen(Math.max(...peaks)));
}

/** The powers of ten to either side of 0, and 0; thinned to at most `most` labels a side. */
export function ticksOf({half, linear}, most) {
  const powers = [];
  for (let k = Math.floor(Math.log10(half) + 1e-9); k >= Math.round(Math.log10(linear)); k--) powers.push(10 ** k);
  const every = Math.ceil(powers.length / most);
  const labelled = powers.filter((_, k) => k % every === 0);
  return {all: mirrored(powers), labelled: mirrored(labelled)};
}

function mirrored(powers) {
  return [...powers.map((p) => -p), 0, ...powers.toReversed()];
}

function powerOfTen(value) {
  return 10 ** Math.ceil(Math.log10(Math.max(value, 1e-12)) - 1e-9);
}

function firstFrom(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
