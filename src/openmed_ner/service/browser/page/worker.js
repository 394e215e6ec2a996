/**
 * The worker of the page: it runs the Python package, and onnxruntime-web for the model.
 *
 * Requests are answered one after the other. All files come from the folder of the page.
 * @module
 */

import * as ort from "./runtime/ort.wasm.min.mjs";
import { loadPyodide } from "./runtime/pyodide.mjs";

const FOLDER = "/bundle";
const TABLE = "/characters.json";
const find = (path) => new URL(path, import.meta.url).href;
const report = (progress) => postMessage({ progress });
/** Requests that the page has given up. */
const aborted = new Set();
const service = load();
let last = service.catch((error) => report(`The page cannot tag: ${error.message}`));

addEventListener("message", ({ data }) => {
  if ("abort" in data) aborted.add(data.abort);
  else last = last.then(() => answer(data));
});

/** Load everything, and start the service in Python. */
async function load() {
  const begin = performance.now();
  if (!("Suspending" in WebAssembly)) {
    throw new Error("this browser has no JavaScript Promise Integration; Chromium and Edge have it since version 137");
  }
  const { bundle, sizes } = JSON.parse(await read("site.json", "text"));
  const total = megabytes(Object.values(sizes).reduce((sum, size) => sum + size, 0));
  report(`Loading ${total}: Python…`);
  const python = await loadPyodide({ indexURL: find("runtime/") });
  await python.loadPackage("numpy", { messageCallback: () => {} });
  python.unpackArchive(await read("openmed_ner.zip"), "zip");
  report(`Loading ${total}: the model…`);
  python.FS.mkdir(FOLDER);
  for (const name of bundle) python.FS.writeFile(`${FOLDER}/${name}`, new Uint8Array(await read(`bundle/${name}`)));
  python.FS.writeFile(TABLE, await read("characters.json", "text"));
  report(`Starting…`);
  ort.env.wasm.wasmPaths = find("runtime/");
  ort.env.wasm.numThreads = 1;
  const started = await python
    .pyimport("openmed_ner.service.browser.tagging")
    .start.callPromising(FOLDER, TABLE, createSession);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  const parts = Object.entries(sizes).map(([name, size]) => `${name} ${megabytes(size)}`);
  report(`Loaded ${total} in ${seconds} s: ${parts.join(", ")}`);
  return { python, answer: started.answer };
}

/** Answer a request, unless the page has given it up. */
async function answer({ id, path, fields, content, name }) {
  if (aborted.delete(id)) return;
  try {
    const { python, answer: method } = await service;
    const bytes = python.toPy(new Uint8Array(content ?? 0)).tobytes();
    const stop = () => aborted.has(id);
    const result = await method.callPromising(path, python.toPy(fields), bytes, name ?? "", stop);
    const [status, type, body] = result.toJs();
    postMessage({ id, status, type, content: body });
  } catch (error) {
    const body = JSON.stringify({ error: { message: `The page cannot tag: ${lastLine(error.message)}` } });
    postMessage({ id, status: 503, type: "application/json", content: body });
  } finally {
    aborted.delete(id);
  }
}

/** A session for Python. */
async function createSession(model) {
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  return { inputs: session.inputNames, run: (names, arrays, shape) => run(session, names, arrays, shape) };
}

async function run(session, names, arrays, shape) {
  const feeds = names.map((name, index) => [name, new ort.Tensor("int64", arrays[index], shape)]);
  const { logits } = await session.run(Object.fromEntries(feeds), ["logits"]);
  return { data: logits.data, dims: logits.dims };
}

async function read(path, kind = "arrayBuffer") {
  const response = await fetch(find(path));
  if (!response.ok) throw new Error(`${path} is missing (status ${response.status})`);
  return response[kind]();
}

/** The last line of a message: that of Python's traceback names the error. */
function lastLine(message) {
  return message.trim().split("\n").pop();
}

function megabytes(size) {
  return `${(size / 1e6).toFixed(1)} MB`;
}
