/**
 * The page: one request at a time, its result or its refusal, and the theme.
 *
 * All state is in memory. Nothing is put into the address or the browser's storage, so there is no link to a
 * result, and closing the page discards it.
 * @module
 */

import { createAccess } from "./access.js";
import { offerDownloads, offerInputs, optionsOf, save } from "./downloads.js";
import { listenForInput } from "./input.js";
import { createNotice } from "./notice.js";
import { createResult } from "./result.js";
import { fetchBundles, requestTags } from "./service.js";
import { createTimer } from "./timer.js";

const NOTHING = { documents: [] };
const find = (id) => document.getElementById(id);
const result = createResult(find);
const { withToken } = createAccess({
  dialog: find("access"),
  form: find("access-form"),
  token: find("token"),
  refuse: find("refuse"),
});
let repeat = () => {};
const notice = createNotice(
  { alert: find("alert"), again: find("again"), retry: find("retry"), status: find("status") },
  () => repeat(),
);
/** @type {AbortController | null} */
let running = null;
/** @type {import("./service.js").Source | null} */
let tagged = null;
/** What Undo brings back. */
let cleared = { text: "", source: null, answer: NOTHING };
let answer = NOTHING;
const timer = createTimer(find("elapsed"));
const add = [...document.querySelectorAll("input[name=add]")];

/** Run one request at a time: a new one aborts the last, and a failed one can be repeated. */
async function run(message, action, size = 0) {
  running?.abort();
  const controller = (running = new AbortController());
  repeat = () => run(message, action, size);
  timer.start(size);
  setBusy(true);
  notice.say(message);
  try {
    const summary = await withToken(() => action(controller.signal));
    if (running !== controller) return;
    timer.finish();
    notice.say(summary);
  } catch (error) {
    if (running !== controller) return; // a newer request has taken over
    if (controller.signal.aborted) notice.say("Cancelled.");
    else notice.fail(error, true);
  } finally {
    if (running === controller) setBusy(false);
  }
}

function setBusy(busy) {
  if (!busy) {
    running = null;
    timer.stop();
  }
  find("undo").hidden = true;
  find("main").setAttribute("aria-busy", String(busy));
  find("cancel").hidden = !busy;
  find("tag").disabled = busy;
}

function tag(source) {
  if ("text" in source && !source.text.trim()) {
    notice.fail({ message: "There is no text yet.", advice: "Paste one, drop a file, or try the example." });
    return;
  }
  const [name, size] = "text" in source ? ["the text", source.text.length] : [source.file.name, source.file.size];
  const options = requestOptions();
  const action = async (signal) => {
    const concepts = options.add?.includes("identifiers") ? { concepts: true } : {};
    const response = await requestTags(source, { ...options, ...concepts }, signal).catch((error) => {
      // A refusal shall not stand above the result of another text.
      if (!signal.aborted && source !== tagged) hide();
      throw error;
    });
    const content = await response.json();
    signal.throwIfAborted();
    [tagged, answer] = [source, content];
    return show(options);
  };
  run(`Reading ${name}…`, action, size);
}

/** Options of the form; by default, the guidelines of a type are merged into one layer. */
function requestOptions() {
  const steps = add.filter((box) => box.checked).map((box) => box.value);
  return { ...(find("layers").checked ? { layers: true } : {}), ...(steps.length ? { add: steps } : {}) };
}

function show(options) {
  const name = "file" in tagged ? tagged.file.name : "";
  const summary = describeResult(result.show(answer, { name, layers: Boolean(options.layers) }), answer.documents.length);
  // In one column the result begins below the screen.
  if (matchMedia("(max-width: 64rem)").matches) find("result").scrollIntoView({ block: "start" });
  return summary;
}

function hide() {
  tagged = null;
  result.clear();
}

function describeResult(n_mentions, n_documents) {
  const scope = n_documents === 1 ? "" : ` in ${n_documents.toLocaleString("en")} documents`;
  if (!n_mentions) return `No entities found${scope}.`;
  return `${n_mentions.toLocaleString("en")} ${n_mentions === 1 ? "entity" : "entities"} found${scope}.`;
}

function download({ name, title, file }) {
  const { labels, corpora } = result.kinds;
  const options = optionsOf(result.filter, labels, corpora);
  if (options.types?.length === 0 || options.corpora?.length === 0) {
    notice.fail({ message: "The filters show nothing to download.", advice: "Switch on a type and a guideline." });
    return;
  }
  run(`Preparing ${title}…`, async (signal) => {
    const response = await requestTags(tagged, { ...requestOptions(), ...options, output: name }, signal);
    save(await response.blob(), file);
    return `${file} is ready.`;
  });
}

function clear(text) {
  running?.abort();
  setBusy(false);
  if (text || tagged) cleared = { text, source: tagged, answer };
  hide();
  notice.say("Cleared.");
  find("undo").hidden = !(cleared.text || cleared.source);
}

function undo() {
  find("undo").hidden = true;
  find("source").value = cleared.text;
  notice.clear();
  if (!cleared.source) return;
  [tagged, answer] = [cleared.source, cleared.answer];
  notice.say(show(requestOptions()));
}

/** List the types and guidelines of the bundle, also those without a mention in the text. */
async function describeBundles() {
  const bundles = await withToken(fetchBundles);
  const heads = bundles.flatMap((bundle) => bundle.heads ?? []);
  const corpora = heads.map((head) => head.corpus).filter(Boolean);
  const labels = heads.flatMap((head) => head.types ?? head.labels ?? []);
  const main = bundles.flatMap((bundle) => bundle.main_types ?? []);
  result.offer({ labels, corpora, main, titles: new Map(heads.map((head) => [head.corpus, head.title])) });
  const steps = bundles.flatMap((bundle) => bundle.attributes ?? []);
  find("identifiers").hidden = !steps.includes("identifiers");
  const names = bundles.map(({ name, licence }) => (licence ? `${name} (${licence})` : name)).join(", ");
  if (names) find("bundle").textContent = `Finds biomedical entities in text. Model: ${names}`;
}

listenForInput(
  {
    form: find("form"),
    text: find("source"),
    file: find("file"),
    format: find("from"),
    example: find("example"),
    clear: find("clear"),
  },
  { onSource: tag, onRefuse: (message) => notice.fail({ message }), onClear: clear },
);
offerInputs(find("from"));
offerDownloads(find("formats"), download);
find("cancel").addEventListener("click", () => running?.abort());
find("undo").addEventListener("click", undo);
for (const button of document.querySelectorAll("[data-goal]")) {
  button.addEventListener("click", () => find(button.dataset.goal).scrollIntoView({ block: "start" }));
}
for (const box of [find("layers"), ...add]) box.addEventListener("change", () => tagged && tag(tagged));
find("theme").addEventListener("change", (event) => {
  document.documentElement.dataset.theme = event.target.value;
});
describeBundles().catch((error) => notice.fail(error));
