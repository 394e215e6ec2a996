/**
 * Looks of types and corpora: a type has a colour and its written name, a corpus a pattern of underline.
 *
 * Neither needs colour to be recognised: types have their name on a chip, corpora their pattern. Eight colours
 * and four patterns repeat when a bundle has more; the names stay.
 * @module
 */

const SLOTS = 8;
const USUAL_TYPES = ["Disease", "Chemical", "Gene", "Species", "CellLine", "Anatomy"];
const THICKNESS = 2; // pixels of an underline
const STEP = 4; // pixels from one underline to the next

const PATTERNS = [
  "linear-gradient(INK 0 0)",
  "repeating-linear-gradient(90deg, INK 0 6px, #0000 6px 10px)",
  "repeating-linear-gradient(90deg, INK 0 2px, #0000 2px 5px)",
  "repeating-linear-gradient(90deg, INK 0 9px, #0000 9px 12px, INK 12px 14px, #0000 14px 17px)",
];

/** @type {Map<string, number>} */
const slots = new Map(USUAL_TYPES.map((label, slot) => [label, slot]));
/** @type {Map<string, number>} */
const patterns = new Map();

/** @param {string} label @returns {number} the number of its colour, the same as long as the page is open */
export function slotOf(label) {
  if (!slots.has(label)) slots.set(label, slots.size % SLOTS);
  return slots.get(label);
}

/** @param {string} corpus @returns {number} the number of its pattern, the same as long as the page is open */
export function patternOf(corpus) {
  if (!patterns.has(corpus)) patterns.set(corpus, patterns.size % PATTERNS.length);
  return patterns.get(corpus);
}

/** @param {string} corpus */
export function corpusName(corpus) {
  return corpus || "no guideline named";
}

/**
 * @typedef {{slot: number, pattern: number, lane: number}} Line
 * @type {Map<string, string>}
 */
const looks = new Map();
/** @type {CSSStyleSheet | null} */
let sheet = null;

/**
 * The class of a piece of text: the strongest type as tint, below it a line per layer.
 *
 * Looks are few and pieces many: a rule per look was five times as fast as a style per piece.
 * @param {number} strongest slot
 * @param {Line[]} lines
 */
export function lookOf(strongest, lines) {
  const drawn = lines.map(({ slot, pattern, lane }) =>
    underline(slot, pattern, `(var(--lanes) - ${lane + 1}) * ${STEP}px`),
  );
  const background = [...drawn, `linear-gradient(var(--tint-${strongest}) 0 0) content-box`].join(", ");
  if (!looks.has(background)) addRule(background);
  return `piece slot-${strongest} ${looks.get(background)}`;
}

function addRule(background) {
  if (!sheet) document.adoptedStyleSheets.push((sheet = new CSSStyleSheet()));
  const name = `look-${looks.size}`;
  sheet.insertRule(`.${name} { background: ${background} }`);
  looks.set(background, name);
}

/** The CSS background of one underline, at a height above the lower edge. */
function underline(slot, pattern, height) {
  const image = PATTERNS[pattern].replaceAll("INK", `var(--ink-${slot})`);
  return `${image} 0 calc(100% - ${height}) / 100% ${THICKNESS}px no-repeat`;
}

/** @param {string} label @returns {HTMLElement} the name of a type in its colour */
export function makeChip(label) {
  const chip = document.createElement("span");
  chip.className = `chip slot-${slotOf(label)}`;
  chip.textContent = label;
  return chip;
}

/** @param {string} corpus @returns {HTMLElement} a sample of a corpus's underline */
export function makeSample(corpus) {
  const sample = document.createElement("span");
  sample.className = "sample";
  sample.style.background = underline(SLOTS, patternOf(corpus), "5px");
  return sample;
}
