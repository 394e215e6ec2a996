/**
 * Input: text that is typed or pasted, a file that is chosen or dropped, or the example.
 * @module
 */

/** @typedef {import("./service.js").Source} Source */

const EXAMPLE = `Cisplatin-induced nephrotoxicity in elderly patients with ovarian cancer.
Acute kidney injury limits the use of cisplatin. We followed 84 women with advanced ovarian cancer who received \
cisplatin with or without amifostine. Nephrotoxicity of any grade was seen in 31 women, hypomagnesaemia in 22 and \
peripheral neuropathy in 9. Amifostine lowered the rate of renal failure but not that of vomiting or hearing loss. \
Two women with diabetes mellitus who took metformin developed lactic acidosis.
(Invented for this page; it reports no real study.)`;

/**
 * @param {{form: HTMLFormElement, text: HTMLTextAreaElement, file: HTMLInputElement, format: HTMLSelectElement,
 *   example: HTMLButtonElement, clear: HTMLButtonElement}} controls
 * @param {{onSource: (source: Source) => void, onRefuse: (message: string) => void, onClear: (text: string) => void}}
 *   events
 */
export function listenForInput({ form, text, file, format, example, clear }, { onSource, onRefuse, onClear }) {
  const submit = () => onSource({ text: text.value });

  function acceptFiles(files) {
    if (files.length === 1) onSource({ file: files[0], from: format.value });
    else onRefuse(`You dropped ${files.length} files. Drop one at a time; one file may hold many documents.`);
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    submit();
  });
  file.addEventListener("change", () => {
    if (file.files.length) acceptFiles([...file.files]);
    file.value = ""; // else choosing the same file again would fire no event
  });
  example.addEventListener("click", () => {
    text.value = EXAMPLE;
    submit();
  });
  clear.addEventListener("click", () => {
    const cleared = text.value;
    text.value = "";
    text.focus();
    onClear(cleared);
  });
  listenForDrops(acceptFiles);
}

/** Accept files anywhere on the page; dragged text keeps its default behaviour. */
function listenForDrops(acceptFiles) {
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  const mark = (dragging) => document.body.classList.toggle("dragging", dragging);
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && mark(false));
  addEventListener("drop", (event) => {
    mark(false);
    if (!holdsFiles(event)) return;
    event.preventDefault();
    acceptFiles([...event.dataTransfer.files]);
  });
}
