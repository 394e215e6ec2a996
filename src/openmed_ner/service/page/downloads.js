/**
 * Downloads: the same request again, in another format, with the filters of the page.
 *
 * The service converts, so a file is the same as from the command line. File names hold nothing of the text.
 * The list of formats is written by the service.
 * @module
 */

import { DOWNLOADS, INPUTS } from "./formats.js";

/** @typedef {{name: string, title: string, file: string}} Format */

/** @param {HTMLElement} list @param {(format: Format) => void} onChoose */
export function offerDownloads(list, onChoose) {
  list.replaceChildren(
    ...DOWNLOADS.map((format) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = format.title;
      button.addEventListener("click", () => onChoose(format));
      return button;
    }),
  );
}

/** @param {HTMLSelectElement} select list of the formats of uploads */
export function offerInputs(select) {
  select.append(...INPUTS.map(({ name, title }) => new Option(title, name)));
}

/**
 * Options of a request for what the page shows; an option is left out where its filter hides nothing.
 * @param {import("./mentions.js").Filter} filter
 * @param {string[]} labels all types
 * @param {string[]} corpora all corpora
 */
export function optionsOf(filter, labels, corpora) {
  const options = {};
  if (filter.labels.size) options.types = labels.filter((label) => !filter.labels.has(label));
  if (filter.corpora.size) options.corpora = corpora.filter((corpus) => !filter.corpora.has(corpus));
  if (filter.threshold > 0) options.threshold = filter.threshold;
  if (filter.under) options.under = [filter.under];
  return options;
}

/** @param {Blob} content @param {string} name */
export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // a busy browser starts late, and then needs it
}
