/**
 * The controls of the filter: types, corpora and the lowest score, each with its number of mentions.
 * @module
 */

import { tally } from "./mentions.js";
import { corpusName, makeChip, makeSample } from "./palette.js";

/** @typedef {import("./mentions.js").Filter} Filter @typedef {import("./mentions.js").Mention} Mention */

/**
 * @param {{labels: HTMLElement, corpora: HTMLElement, threshold: HTMLInputElement,
 *   thresholdValue: HTMLOutputElement}} controls
 * @param {() => void} onChange
 */
export function createFilters(controls, onChange) {
  /** @type {Filter} */
  const filter = { labels: new Set(), corpora: new Set(), threshold: 0 };
  /** @type {Record<string, Map<string, HTMLElement>>} */
  const counters = { labels: new Map(), corpora: new Map() };

  /** Show everything. */
  function reset() {
    filter.labels.clear();
    filter.corpora.clear();
    controls.threshold.value = "0";
    readThreshold();
  }

  /** @param {string[]} labels @param {string[]} corpora */
  function offer(labels, corpora) {
    offerKind("labels", labels, (name) => [makeChip(name)]);
    offerKind("corpora", corpora, (name) => [makeSample(name), corpusName(name)]);
  }

  function offerKind(kind, names, describe) {
    counters[kind].clear();
    controls[kind].replaceChildren(...names.map((name) => makeBox(kind, name, describe(name))));
  }

  function makeBox(kind, name, description) {
    const hidden = filter[kind];
    const box = document.createElement("input");
    box.type = "checkbox";
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
    return label;
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
  return { filter, reset, offer, count };
}
