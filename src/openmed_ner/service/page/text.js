/**
 * The text with its mentions: built once per document, repainted piece by piece when the filter changes.
 *
 * Each piece of text between two boundaries is one element. Elements are never nested, so overlaps need no
 * tree. Text is inserted as text nodes only. The whole text is one stop of the Tab key; arrow keys move
 * within it.
 * @module
 */

import { contextOf } from "./mentions.js";
import { blockEnds, cutPieces } from "./offsets.js";
import { lookOf, patternOf, slotOf } from "./palette.js";

/**
 * @typedef {import("./mentions.js").Mention} Mention
 * @typedef {import("./mentions.js").Layer} Layer
 * @typedef {{mention: Mention, first: boolean, last: boolean}} Cover a mention over a piece
 * @typedef {{element: HTMLElement, covers: Cover[], look: string, stop: boolean}} Piece
 */

const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/**
 * @param {HTMLElement} container
 * @param {ReturnType<typeof import("./popover.js").createPopover>} popover
 * @param {(mentions: Mention[]) => void} onPoint callback for the mentions under pointer or focus, if any
 */
export function createMarkedText(container, popover, onPoint) {
  /** @type {Piece[]} */
  let pieces = [];
  /** @type {Map<Element, Piece>} */
  let pieceOf = new Map();
  /** @type {Map<Mention, Piece[]>} */
  let piecesOf = new Map();
  /** @type {Layer[][]} */
  let shown = [];
  let lit = [];
  let layered = false;

  /**
   * @param {import("./mentions.js").TaggedDocument} tagged
   * @param {boolean} hasLayers if true, a pattern of the lines tells the guidelines apart
   */
  function show(tagged, hasLayers) {
    popover.hide();
    layered = hasLayers;
    [pieces, lit, shown] = [[], [], []];
    container.style.setProperty("--lanes", String(tagged.lanes));
    const ends = blockEnds(tagged.text);
    const ranges = tagged.mentions.flatMap(rangesOf);
    const blocks = document.createDocumentFragment();
    let block = makeBlock();
    for (const { start, end, values } of cutPieces(tagged.text.length, ranges, ends)) {
      const content = tagged.text.slice(start, end);
      if (values.length) block.append(addPiece(content, start, end, values));
      else block.append(content);
      if (end !== ends[0]) continue;
      ends.shift();
      blocks.append(block);
      block = makeBlock();
    }
    pieceOf = new Map(pieces.map((piece) => [piece.element, piece]));
    piecesOf = groupByMention(pieces);
    container.replaceChildren(blocks);
  }

  function addPiece(content, start, end, mentions) {
    const element = document.createElement("span");
    element.textContent = content;
    const covers = mentions.map((mention) => ({
      mention,
      first: mention.start === start,
      last: mention.end === end,
    }));
    pieces.push({ element, covers, look: "", stop: false });
    return element;
  }

  /** @param {Layer[][]} selected layers to show, by the mentions' indices */
  function paint(selected) {
    shown = selected;
    const current = container.querySelector("[tabindex='0']");
    for (const piece of pieces) paintPiece(piece, shown, layered);
    if (!pieceOf.get(current)?.stop) moveTabStop(pieces.find((piece) => piece.stop)?.element);
    if (popover.isOpen()) leave();
  }

  function moveTabStop(element) {
    container.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    element?.setAttribute("tabindex", "0");
  }

  function point(element) {
    const covers = pieceOf.get(element)?.covers ?? [];
    const entries = covers.map(({ mention }) => ({ mention, layers: shown[mention.index] ?? [] }));
    const visible = entries.filter(({ layers }) => layers.length);
    if (!visible.length) return leave();
    const mentions = visible.map(({ mention }) => mention);
    light(mentions);
    onPoint(mentions);
    popover.show(element, visible);
  }

  function leave() {
    popover.hideSoon();
    light([]);
    onPoint([]);
  }

  /** @param {Mention[]} mentions mentions to outline; all others are not */
  function light(mentions) {
    for (const { element } of lit) element.classList.remove("lit");
    lit = mentions.flatMap((mention) => piecesOf.get(mention) ?? []);
    for (const { element } of lit) element.classList.add("lit");
  }

  /** @param {Mention} mention mention to scroll to, focus and explain */
  function visit(mention) {
    focusOn(piecesOf.get(mention)[0].element);
  }

  function focusOn(element) {
    element.scrollIntoView({ block: "center" });
    moveTabStop(element);
    element.focus({ preventScroll: true });
    point(element);
  }

  function walk(event) {
    if (event.key === "Escape") popover.hide();
    if (!pieceOf.has(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
    const stops = pieces.filter((piece) => piece.stop || piece.element === event.target);
    const position = stops.findIndex((piece) => piece.element === event.target);
    const goals = { Home: 0, End: stops.length - 1 };
    const goal = goals[event.key] ?? position + STEPS[event.key];
    if (Number.isNaN(goal)) return; // another key
    event.preventDefault();
    if (stops[goal]) focusOn(stops[goal].element);
  }

  container.addEventListener("keydown", walk);
  container.addEventListener("focusin", (event) => point(event.target));
  container.addEventListener("focusout", leave);
  container.addEventListener("pointerover", (event) => pieceOf.has(event.target) && point(event.target));
  container.addEventListener("pointerout", (event) => pieceOf.has(event.target) && leave());
  return { show, paint, light, visit };
}

function rangesOf(mention) {
  return mention.ranges.map(([start, end]) => ({ start, end, value: mention }));
}

function makeBlock() {
  const block = document.createElement("div");
  block.className = "block";
  block.dir = "auto";
  return block;
}

/** @param {Piece[]} pieces @returns {Map<Mention, Piece[]>} */
function groupByMention(pieces) {
  const groups = new Map();
  for (const piece of pieces) {
    for (const { mention } of piece.covers) {
      if (groups.has(mention)) groups.get(mention).push(piece);
      else groups.set(mention, [piece]);
    }
  }
  return groups;
}

/** Give a piece its look, chip and role; an unchanged piece is not touched. */
function paintPiece(piece, shown, layered) {
  const visible = piece.covers.filter(({ mention }) => shown[mention.index].length);
  const context = contextOf(visible.flatMap(({ mention }) => shown[mention.index]));
  const ending = [...new Set(visible.filter(({ last }) => last).map(({ mention }) => mention.label))];
  const chip = ending.length ? [...ending, ...context].join(" ") : "";
  const stop = visible.some(({ first }) => first);
  const look = visible.length ? `${describeLook(visible, shown, layered)} ${context.join(" ")}\n${chip}\n${stop}` : "";
  if (look === piece.look) return;
  Object.assign(piece, { look, stop });
  const { element } = piece;
  element.className = look.split("\n", 1)[0].trim();
  if (stop) element.classList.add("starts");
  if (chip) element.classList.add("ends", `ends-${slotOf(ending[0])}`);
  setAttribute(element, "data-chip", chip);
  setAttribute(element, "role", stop ? "button" : "");
  setAttribute(element, "tabindex", stop ? "-1" : "");
}

function describeLook(visible, shown, layered) {
  let [strongest, best] = [0, -1];
  const lines = [];
  for (const { mention } of visible) {
    const slot = slotOf(mention.label);
    for (const { corpus, lane, score } of shown[mention.index]) {
      lines.push({ slot, pattern: layered ? patternOf(corpus) : 0, lane });
      if ((score ?? 0) > best) [strongest, best] = [slot, score ?? 0];
    }
  }
  return lookOf(strongest, lines);
}

function setAttribute(element, name, value) {
  if (value) element.setAttribute(name, value);
  else element.removeAttribute(name);
}
