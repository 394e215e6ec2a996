/**
 * The result: documents to choose among, the text, the filters and the table, kept in step.
 * @module
 */

import { countConcepts, createHierarchy } from "./concepts.js";
import { createFilters } from "./filters.js";
import { readDocument, select } from "./mentions.js";
import { createPopover } from "./popover.js";
import { createTable } from "./table.js";
import { createMarkedText } from "./text.js";

/** @typedef {import("./mentions.js").TaggedDocument} TaggedDocument */

const MERGED = "A line below a mention has the colour of its type. Point at a mention for its score and guideline.";
const LAYERED =
  "Each line below a mention is the answer of one guideline. Four styles of lines repeat: point at a mention for the names.";
const NOTHING = { id: "", text: "", mentions: [], lanes: 1, coverage: null };

/** @param {(id: string) => any} find function that returns an element of the page by its id */
export function createResult(find) {
  const popover = createPopover(find("popover"));
  const text = createMarkedText(find("text"), popover, (mentions) => table.light(mentions));
  const events = { onVisit: text.visit, onPoint: text.light };
  const table = createTable({ table: find("table"), search: find("search"), more: find("more") }, events);
  const controls = {
    labels: find("labels"),
    moreLabels: find("more-labels"),
    rest: find("rest"),
    allTypes: find("all-types"),
    mainTypes: find("main-types"),
    noTypes: find("no-types"),
    corpora: find("corpora"),
    threshold: find("threshold"),
    thresholdValue: find("threshold-value"),
    concepts: find("concepts"),
    under: find("under"),
  };
  const filters = createFilters(controls, refreshSoon);
  const chooser = find("document");
  /** @type {TaggedDocument[]} */
  let documents = [];
  /** @type {TaggedDocument} */
  let current = NOTHING;
  let refreshing = false;
  let layered = false;
  /** Types and corpora of the loaded bundles. */
  let offered = { labels: [], corpora: [], main: [], titles: new Map() };
  /** Types and corpora of the bundles and of the mentions. */
  const kinds = { labels: [], corpora: [] };

  /**
   * @param {{documents: any[], hint?: string, concepts?: Record<string, {name: string, parents: string[]}>}} answer
   * @param {{name?: string, layers?: boolean}} [request] name of the file; whether each guideline has a layer
   * @returns {number} number of mentions
   */
  function show(answer, { name = "", layers = false } = {}) {
    layered = layers;
    find("main").classList.toggle("layered", layered);
    find("result-title").textContent = name ? `Tagged text: ${name}` : "Tagged text";
    find("hint").textContent = answer.hint ?? "";
    find("lines").textContent = layered ? LAYERED : MERGED;
    const hierarchy = createHierarchy(answer.concepts ?? {});
    documents = answer.documents.map((record) => readDocument(record, hierarchy.expand));
    filters.reset();
    filters.offerConcepts(countConcepts(documents, hierarchy.nameOf));
    listKinds();
    chooser.replaceChildren(...documents.map(({ id }, index) => new Option(`${index + 1}. ${id}`, String(index))));
    find("chooser").hidden = documents.length < 2;
    showDocument(0);
    setVisible(true);
    return documents.flatMap((tagged) => tagged.mentions).length;
  }

  /**
   * @param {{labels: string[], corpora: string[], main: string[], titles: Map<string, string>}} bundleKinds types,
   *   guidelines, types that are shown by default, and full names of guidelines; may arrive after the first result
   */
  function offer(bundleKinds) {
    offered = bundleKinds;
    listKinds();
    refresh();
  }

  function listKinds() {
    const mentions = documents.flatMap((tagged) => tagged.mentions);
    const layers = mentions.flatMap((mention) => mention.layers);
    kinds.labels = sortedUnion(offered.labels, mentions.map(({ label }) => label));
    kinds.corpora = sortedUnion(offered.corpora, layers.map(({ corpus }) => corpus));
    const main = offered.main.length ? offered.main : kinds.labels;
    const present = new Set(mentions.map(({ label }) => label));
    const first = [...main, ...kinds.labels.filter((label) => present.has(label) && !main.includes(label))];
    const rest = kinds.labels.filter((label) => !first.includes(label));
    filters.offer({ first, rest, main }, kinds.corpora, offered.titles);
  }

  function showDocument(index) {
    current = documents[index] ?? NOTHING;
    chooser.value = String(index);
    find("previous").disabled = index <= 0;
    find("next").disabled = index >= documents.length - 1;
    find("coverage").textContent = describeCoverage(current.coverage);
    text.show(current, layered);
    refresh();
  }

  function refresh() {
    const shown = select(current.mentions, filters.filter);
    text.paint(shown);
    table.show(current.mentions, shown);
    filters.count(current.mentions);
    const n_shown = shown.filter((layers) => layers.length).length;
    find("shown").textContent = `${format(n_shown)} of ${format(current.mentions.length)} entities shown`;
  }

  /** Once per frame is enough for a slider. */
  function refreshSoon() {
    if (refreshing) return;
    refreshing = true;
    requestAnimationFrame(() => {
      refreshing = false;
      refresh();
    });
  }

  function clear() {
    setVisible(false);
    documents = [];
    showDocument(0);
  }

  function setVisible(visible) {
    find("result").hidden = !visible;
    find("main").classList.toggle("has-result", visible);
  }

  const step = (by) => showDocument(Number(chooser.value) + by);
  chooser.addEventListener("change", () => step(0));
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));
  addEventListener("keydown", (event) => event.key === "Escape" && popover.hide());
  return { show, offer, clear, kinds, filter: filters.filter };
}

function sortedUnion(one, other) {
  return [...new Set([...one, ...other])].sort();
}

function describeCoverage(coverage) {
  if (!coverage) return "";
  const { characters, windows, complete } = coverage;
  const extent = complete ? "Read completely" : "Not read completely";
  return `${extent}: ${plural(characters, "character")} in ${plural(windows, "window")}`;
}

function format(number) {
  return number.toLocaleString("en");
}

function plural(number, noun) {
  return `${format(number)} ${noun}${number === 1 ? "" : "s"}`;
}
