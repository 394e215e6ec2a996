/**
 * Files to keep: the same request again, in another format, with the filters of the page.
 *
 * The service converts, so a file is the same as from the command line. Names say what a file is, not
 * what the text says.
 * @module
 */

/** @typedef {{name: string, title: string, file: string}} Format */

/** @type {Format[]} */
const FORMATS = [
  { name: "json", title: "JSON", file: "entities.json" },
  { name: "jsonl", title: "JSON lines", file: "entities.jsonl" },
  { name: "csv", title: "CSV", file: "entities.csv" },
  { name: "conll", title: "CoNLL", file: "entities.conll" },
  { name: "pubtator", title: "PubTator", file: "entities.pubtator" },
  { name: "bioc-json", title: "BioC JSON", file: "entities.bioc.json" },
  { name: "bioc-xml", title: "BioC XML", file: "entities.bioc.xml" },
  { name: "brat", title: "brat (zip)", file: "entities.brat.zip" },
  { name: "html", title: "HTML to read", file: "entities.html" },
];

/** @param {HTMLElement} list @param {(format: Format) => void} onChoose */
export function offerFormats(list, onChoose) {
  list.replaceChildren(
    ...FORMATS.map((format) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = format.title;
      button.addEventListener("click", () => onChoose(format));
      return button;
    }),
  );
}

/**
 * The options of the service that leave through what the page shows; unset where nothing is switched off.
 * @param {import("./mentions.js").Filter} filter
 * @param {string[]} labels all types
 * @param {string[]} corpora all corpora
 */
export function optionsOf(filter, labels, corpora) {
  const options = {};
  if (filter.labels.size) options.types = labels.filter((label) => !filter.labels.has(label));
  if (filter.corpora.size) options.corpora = corpora.filter((corpus) => !filter.corpora.has(corpus));
  if (filter.threshold > 0) options.threshold = filter.threshold;
  return options;
}

/** @param {Blob} content @param {string} name */
export function save(content, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000); // once the browser has begun to read it
}
