/**
 * The table of entities: a row per type and surface form, sorted, searched, and linked to the text.
 *
 * Only the first rows are built until the reader asks for all or prints the page, so that a long document
 * takes no longer than a short one.
 * @module
 */

import { listRows, rowKey } from "./mentions.js";
import { corpusName, makeChip } from "./palette.js";

/** @typedef {import("./mentions.js").Row} Row @typedef {import("./mentions.js").Mention} Mention */

const FIRST_ROWS = 100;

/** @type {Record<string, (row: Row) => string | number>} */
const KEYS = {
  text: (row) => row.text.toLowerCase(),
  label: (row) => row.label,
  corpora: (row) => [...row.corpora].sort().join(" "),
  count: (row) => row.count,
  score: (row) => row.score ?? -1,
};

/**
 * @param {{table: HTMLTableElement, search: HTMLInputElement, more: HTMLButtonElement}} parts
 * @param {{onVisit: (mention: Mention) => void, onPoint: (mentions: Mention[]) => void}} events
 */
export function createTable({ table, search, more }, { onVisit, onPoint }) {
  const body = table.tBodies[0];
  /** @type {Row[]} */
  let rows = [];
  /** @type {Map<string, HTMLTableRowElement>} */
  let elements = new Map();
  const order = { name: "count", down: true };
  let limit = FIRST_ROWS;

  /** @param {Mention[]} mentions @param {import("./mentions.js").Layer[][]} shown */
  function show(mentions, shown) {
    rows = listRows(mentions, shown);
    limit = FIRST_ROWS;
    draw();
  }

  function draw() {
    const query = search.value.trim().toLowerCase();
    const matches = rows.filter((row) => row.text.toLowerCase().includes(query)).sort(compare);
    const drawn = matches.slice(0, limit);
    elements = new Map(drawn.map((row) => [row.key, makeRow(row)]));
    body.replaceChildren(...(drawn.length ? elements.values() : [makeEmpty()]));
    more.hidden = drawn.length === matches.length;
    more.textContent = `Show all ${matches.length.toLocaleString("en")} rows`;
  }

  function compare(one, other) {
    const [left, right] = [KEYS[order.name](one), KEYS[order.name](other)];
    const sign = left < right ? -1 : left > right ? 1 : 0;
    return (order.down ? -sign : sign) || one.mentions[0].start - other.mentions[0].start;
  }

  function makeRow(row) {
    const element = document.createElement("tr");
    const goTo = document.createElement("button");
    goTo.type = "button";
    goTo.textContent = row.text;
    goTo.title = "Go to the first mention";
    const mention = document.createElement("div");
    mention.append(goTo, ...describeNotes(row));
    const corpora = [...row.corpora].sort().map(corpusName).join(", ");
    const score = row.score === null ? "–" : row.score.toFixed(2);
    const cells = [mention, makeChip(row.label), row.count.toLocaleString("en"), score, corpora];
    element.append(...cells.map(makeCell));
    element.addEventListener("click", () => getSelection().isCollapsed && onVisit(row.mentions[0]));
    for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, () => onPoint(row.mentions));
    for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, () => onPoint([]));
    return element;
  }

  /** @param {Mention[]} mentions mentions whose rows are marked; all others are not */
  function light(mentions) {
    const keys = new Set(mentions.map(rowKey));
    for (const [key, element] of elements) element.classList.toggle("lit", keys.has(key));
  }

  function sortBy(button) {
    const { sort } = button.dataset;
    order.down = order.name === sort ? !order.down : sort === "count" || sort === "score";
    order.name = sort;
    for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
    button.closest("th").setAttribute("aria-sort", order.down ? "descending" : "ascending");
    draw();
  }

  function showAll() {
    limit = Infinity;
    draw();
  }

  for (const button of table.querySelectorAll("button[data-sort]")) {
    button.addEventListener("click", () => sortBy(button));
  }
  search.addEventListener("input", draw);
  more.addEventListener("click", showAll);
  addEventListener("beforeprint", showAll);
  return { show, light };
}

/** Context, long forms and identifiers of a row; with numbers if they do not hold for all its mentions. */
function describeNotes({ notes, count }) {
  if (!notes.size) return [];
  const element = document.createElement("small");
  const parts = [...notes].map(([note, number]) => (number === count ? note : `${note} (${number} of ${count})`));
  element.textContent = parts.join(", ");
  return [element];
}

function makeCell(content) {
  const cell = document.createElement("td");
  cell.append(content);
  return cell;
}

function makeEmpty() {
  const row = document.createElement("tr");
  const cell = makeCell("No entities to show.");
  cell.colSpan = 5;
  row.append(cell);
  return row;
}
