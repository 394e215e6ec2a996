/**
 * The controls of the filter: types, corpora, the lowest score and a concept, with their numbers of mentions.
 * @module
 */

import { tally } from "./mentions.js";
import { corpusName, makeChip, makeSample } from "./palette.js";

/** @typedef {import("./mentions.js").Filter} Filter @typedef {import("./mentions.js").Mention} Mention */

/**
 * @param {{labels: HTMLElement, moreLabels: HTMLElement, rest: HTMLElement, corpora: HTMLElement,
 *   threshold: HTMLInputElement, thresholdValue: HTMLOutputElement, allTypes: HTMLElement, mainTypes: HTMLElement,
 *   noTypes: HTMLElement, concepts: HTMLElement, under: HTMLSelectElement}} controls
 * @param {() => void} onChange
 */
export function createFilters(controls, onChange) {
  /** @type {Filter} */
  const filter = { labels: new Set(), corpora: new Set(), threshold: 0, under: "" };
  /** @type {Record<string, Map<string, HTMLElement>>} */
  const counters = { labels: new Map(), corpora: new Map() };
  let offered = { first: [], rest: [], main: [] };

  /** Show everything. */
  function reset() {
    filter.labels.clear();
    filter.corpora.clear();
    controls.threshold.value = "0";
    readThreshold();
    offerConcepts([]);
  }

  /** @param {import("./concepts.js").Count[]} counts concepts to choose among; their control is hidden if there is none */
  function offerConcepts(counts) {
    filter.under = "";
    controls.concepts.hidden = !counts.length;
    controls.under.replaceChildren(new Option("all", ""), ...counts.map((count) => new Option(describe(count), count.id)));
  }

  /**
   * @param {{first: string[], rest: string[], main: string[]}} labels types to list at once, on request, and those
   *   that are shown by default
   * @param {string[]} corpora
   * @param {Map<string, string>} titles full names of corpora
   */
  function offer(labels, corpora, titles) {
    counters.labels.clear();
    counters.corpora.clear();
    offered = labels;
    const makeLabel = (name) => makeBox("labels", name, [makeChip(name)]);
    controls.labels.replaceChildren(...labels.first.map(makeLabel));
    controls.moreLabels.replaceChildren(...labels.rest.map(makeLabel));
    controls.rest.hidden = !labels.rest.length;
    const explain = (name) => [makeSample(name), corpusName(name), makeTitle(titles.get(name))];
    controls.corpora.replaceChildren(...corpora.map((name) => makeBox("corpora", name, explain(name))));
  }

  /** Show some types alone. */
  function keepTypes(kept) {
    for (const name of [...offered.first, ...offered.rest]) {
      if (kept.includes(name)) filter.labels.delete(name);
      else filter.labels.add(name);
    }
    checkBoxes();
    onChange();
  }

  function checkBoxes() {
    for (const group of [controls.labels, controls.moreLabels]) {
      for (const box of group.querySelectorAll("input")) box.checked = !filter.labels.has(box.value);
    }
  }

  function makeBox(kind, name, description) {
    const hidden = filter[kind];
    const box = document.createElement("input");
    box.type = "checkbox";
    box.value = name;
    box.checked = !hidden.has(name);
    box.addEventListener("change", () => {
      if (box.checked) hidden.delete(name);
      else hidden.add(name);
      onChange();
    });
    const caption = document.createElement("span");
    caption.append(...description);
    const count = document.createElement("span");
    count.className = "count";
    counters[kind].set(name, count);
    const label = document.createElement("label");
    label.append(box, caption, count);
    const row = document.createElement("div");
    row.className = "box";
    row.append(label);
    if (kind === "labels") row.append(makeOnly(name));
    return row;
  }

  function makeOnly(name) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "only";
    button.ariaLabel = `Only ${name}`;
    button.addEventListener("click", () => keepTypes([name]));
    return button;
  }

  /** @param {Mention[]} mentions mentions to count */
  function count(mentions) {
    const counts = tally(mentions, filter);
    for (const kind of ["labels", "corpora"]) {
      for (const [name, element] of counters[kind]) {
        element.textContent = (counts[kind].get(name) ?? 0).toLocaleString("en");
      }
    }
  }

  function readThreshold() {
    filter.threshold = Number(controls.threshold.value);
    controls.thresholdValue.textContent = filter.threshold.toFixed(2);
  }

  controls.threshold.addEventListener("input", () => {
    readThreshold();
    onChange();
  });
  controls.under.addEventListener("change", () => {
    filter.under = controls.under.value;
    onChange();
  });
  controls.allTypes.addEventListener("click", () => keepTypes([...offered.first, ...offered.rest]));
  controls.mainTypes.addEventListener("click", () => keepTypes(offered.main));
  controls.noTypes.addEventListener("click", () => keepTypes([]));
  return { filter, reset, offer, offerConcepts, count };
}

/** @param {import("./concepts.js").Count} count */
function describe({ id, name, mentions, documents }) {
  const scope = documents > 1 ? ` in ${documents.toLocaleString("en")} documents` : "";
  return `${name} (${id}): ${mentions.toLocaleString("en")}${scope}`;
}

function makeTitle(title) {
  const element = document.createElement("span");
  element.className = "quiet";
  element.textContent = title ?? "";
  return element;
}
