// Builds page.html, the one file that the Python package carries: `make report-bundle`.
// The same sources and package-lock.json give the same bytes. `node build.mjs FILE` writes elsewhere.
import {createHash} from "node:crypto";
import {readFileSync, readdirSync, writeFileSync} from "node:fs";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";
import * as esbuild from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const PLOT = join(HERE, "node_modules/@observablehq/plot/src");
// What the page may weigh, bytes: it is in every report that somebody sends.
const MOST = 250_000;

// Observable Plot imports all of d3 by one name. The parts below are what its lines, rules, dots,
// tips and axes use; maps, colour schemes, hierarchies, contours and legends are left out, 100 kB.
const D3_PARTS = [
  "d3-array", "d3-color", "d3-format", "d3-interpolate", "d3-path", "d3-scale", "d3-selection",
  "d3-shape", "d3-time", "d3-time-format",
];

const trimmedD3 = {
  name: "trimmed d3",
  setup(build) {
    build.onResolve({filter: /^d3$/}, () => ({path: "d3", namespace: "trimmed"}));
    build.onLoad({filter: /.*/, namespace: "trimmed"}, async () => {
      const known = new Set();
      for (const part of D3_PARTS) for (const name of Object.keys(await import(part))) known.add(name);
      const absent = [...namesImported(PLOT)].filter((name) => !known.has(name)).sort();
      const lines = D3_PARTS.map((part) => `export * from "${part}";`);
      lines.push("const absent = () => undefined;", `export {${absent.map((name) => `absent as ${name}`)}};`);
      return {contents: lines.join("\n"), resolveDir: HERE};
    });
    build.onLoad({filter: /plot\/src\/legends\.js$/}, () => ({
      contents: "export const legend = () => {}, exposeLegends = () => {}, createLegends = () => [];",
    }));
  },
};

function namesImported(folder) {
  const names = new Set();
  for (const file of readdirSync(folder, {recursive: true}).filter((f) => f.endsWith(".js"))) {
    const text = readFileSync(join(folder, file), "utf8");
    for (const [, list] of text.matchAll(/import\s*\{([^}]*)\}\s*from\s*"d3"/g)) {
      for (const one of list.split(",")) if (one.trim()) names.add(one.trim().split(" as ")[0]);
    }
  }
  return names;
}

function read(name) {
  return readFileSync(join(HERE, name), "utf8");
}

/** A digest of all that the page is built of, by which a test sees that it was built anew. */
function digestOfSources() {
  const names = readdirSync(HERE).filter((name) => /\.(m?js|css|json)$|^template\.html$/.test(name));
  const digest = createHash("sha256");
  for (const name of names.sort()) digest.update(`${name}\n`).update(readFileSync(join(HERE, name)));
  return digest.digest("hex");
}

function version(name) {
  return JSON.parse(read(`node_modules/${name}/package.json`)).version;
}

async function bundled(options) {
  const built = await esbuild.build({
    absWorkingDir: HERE, bundle: true, minify: true, write: false, target: "es2022",
    legalComments: "none", charset: "utf8", logLevel: "warning", ...options,
  });
  return built.outputFiles[0].text.trim();
}

// The license asks for itself in every copy, and every report is one.
const license = read("node_modules/@observablehq/plot/LICENSE").split("\n\n").slice(1).join("\n\n").trim();
const banner =
  `/* This page contains Observable Plot ${version("@observablehq/plot")}, Copyright 2020-2025 Observable, Inc.; parts of\n` +
  `D3 ${version("d3")}, Copyright 2010-2026 Mike Bostock; internmap and isoformat, Copyright 2021 Mike Bostock;\n` +
  `all under the ISC license:\n\n${license} */`;

const [script, style] = await Promise.all([
  bundled({entryPoints: ["main.js"], format: "iife", plugins: [trimmedD3], banner: {js: banner}}),
  bundled({entryPoints: ["style.css"]}),
]);
// A closing tag in a string would end the element that holds it.
if (/<\/(script|style)|<!--/i.test(script + style)) throw new Error("the bundle holds a closing tag");
const hash = createHash("sha256").update(script).digest("base64");
const parts = {
  __STYLE__: style, __SCRIPT_HASH__: `'sha256-${hash}'`, __SCRIPT__: script, __SOURCES__: digestOfSources(),
};
const page = read("template.html").replace(/__(STYLE|SCRIPT|SCRIPT_HASH|SOURCES)__/g, (name) => parts[name]);
const size = Buffer.byteLength(page);
if (size > MOST) throw new Error(`page.html has ${size} bytes; expected at most ${MOST}`);
writeFileSync(process.argv[2] ?? join(HERE, "page.html"), page);
console.log(`page.html: ${size} bytes`);
