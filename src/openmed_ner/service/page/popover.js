/**
 * The small card beside a mention: type, mention, and score and guideline of every layer.
 *
 * It follows pointer and focus, can itself be hovered, and closes on Escape (WCAG 1.4.13).
 * @module
 */

import { corpusName, makeChip, makeSample } from "./palette.js";

/** @typedef {import("./mentions.js").Mention} Mention @typedef {import("./mentions.js").Layer} Layer */

const DELAY = 200; // ms for the pointer to travel from the mention to the card
const GAP = 6; // pixels
const MAX_LENGTH = 160; // characters of a mention

/** @param {HTMLElement} card */
export function createPopover(card) {
  let timer = 0;
  /** @type {HTMLElement | null} */
  let anchor = null;

  function hide() {
    clearTimeout(timer);
    anchor?.removeAttribute("aria-describedby");
    anchor = null;
    card.hidden = true;
  }

  /** @param {HTMLElement} element @param {{mention: Mention, layers: Layer[]}[]} entries */
  function show(element, entries) {
    hide();
    anchor = element;
    card.replaceChildren(...entries.map(makeEntry));
    card.hidden = false;
    place(card, element);
    element.setAttribute("aria-describedby", card.id);
  }

  function hideSoon() {
    clearTimeout(timer);
    timer = setTimeout(hide, DELAY);
  }

  card.addEventListener("pointerenter", () => clearTimeout(timer));
  card.addEventListener("pointerleave", hideSoon);
  return { show, hide, hideSoon, isOpen: () => !card.hidden };
}

function place(card, element) {
  const [line] = element.getClientRects();
  const { width, height } = card.getBoundingClientRect();
  const room = document.documentElement.clientWidth - width - GAP;
  const below = line.bottom + GAP + height <= document.documentElement.clientHeight;
  const top = below || line.top < height + GAP ? line.bottom + GAP : line.top - height - GAP;
  card.style.setProperty("left", `${Math.max(GAP, Math.min(line.left, room)) + scrollX}px`);
  card.style.setProperty("top", `${top + scrollY}px`);
}

function makeEntry({ mention, layers }) {
  const entry = document.createElement("div");
  const title = document.createElement("p");
  const name = document.createElement("strong");
  name.textContent = mention.text.length > MAX_LENGTH ? `${mention.text.slice(0, MAX_LENGTH)}…` : mention.text;
  title.append(makeChip(mention.label), " ", name);
  const list = document.createElement("ul");
  list.append(...layers.map(makeLayer));
  entry.append(title, list);
  return entry;
}

function makeLayer({ corpus, score, attributes }) {
  const item = document.createElement("li");
  const guideline = document.createElement("span");
  guideline.textContent = corpusName(corpus);
  const number = document.createElement("b");
  number.textContent = score === null ? "no score" : score.toFixed(2);
  item.append(makeSample(corpus), guideline, " ", number);
  if (attributes.length) {
    const details = document.createElement("small");
    details.textContent = attributes.map(([name, value]) => (value === true ? name : `${name}: ${value}`)).join(", ");
    item.append(details);
  }
  return item;
}
