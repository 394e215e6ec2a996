/**
 * Positions in a text: the service counts Unicode code points, a browser UTF-16 units.
 *
 * Ranges may nest and overlap, so a text is cut at every boundary, and each piece lists all ranges that cover
 * it. Stacked underlines get lanes, as in a piano roll.
 * @module
 */

const BLOCK = 2000; // units; a block ends at the first line end after these

/**
 * @template Value
 * @typedef {{start: number, end: number, value: Value}} Range half-open, in UTF-16 units
 */

/**
 * A function from code points to UTF-16 units of one text.
 * @param {string} text
 * @returns {(position: number) => number}
 */
export function unitsOf(text) {
  if (!/[\uD800-\uDBFF]/.test(text)) return (position) => position;
  const units = new Uint32Array(text.length + 1);
  let n_points = 0;
  let unit = 0;
  for (const character of text) {
    units[n_points++] = unit;
    unit += character.length;
  }
  units[n_points] = unit;
  return (position) => units[Math.min(position, n_points)];
}

/**
 * The ends of the blocks of a long text: line ends, far enough apart, and the end of the text.
 * @param {string} text
 * @returns {number[]}
 */
export function blockEnds(text) {
  const ends = [];
  for (let from = BLOCK; ; from = ends[ends.length - 1] + BLOCK) {
    const lineEnd = text.indexOf("\n", from);
    if (lineEnd < 0 || lineEnd + 1 >= text.length) break;
    ends.push(lineEnd + 1);
  }
  return [...ends, text.length];
}

/**
 * Cut a text at the edges of ranges and at further places.
 * @template Value
 * @param {number} length
 * @param {Range<Value>[]} ranges
 * @param {number[]} [places]
 * @returns {{start: number, end: number, values: Value[]}[]} the pieces in order; together, the text
 */
export function cutPieces(length, ranges, places = []) {
  const pending = [...ranges].sort((one, other) => other.start - one.start);
  const edges = new Set([0, length, ...places, ...ranges.flatMap(({ start, end }) => [start, end])]);
  const sorted = [...edges].filter((edge) => edge <= length).sort((one, other) => one - other);
  const pieces = [];
  /** @type {Range<Value>[]} */
  let active = [];
  for (let index = 0; index + 1 < sorted.length; index++) {
    const [start, end] = [sorted[index], sorted[index + 1]];
    active = active.filter((range) => range.end > start);
    while (pending.length && pending[pending.length - 1].start <= start) active.push(pending.pop());
    pieces.push({ start, end, values: active.map((range) => range.value) });
  }
  return pieces;
}

/**
 * Give each range the lowest lane that is free over its extent.
 * @param {{start: number, end: number}[]} ranges sorted by their starts
 * @returns {number[]} a lane per range, from 0
 */
export function assignLanes(ranges) {
  /** @type {number[]} */
  const ends = [];
  return ranges.map(({ start, end }) => {
    const free = ends.findIndex((last) => last <= start);
    const lane = free < 0 ? ends.length : free;
    ends[lane] = end;
    return lane;
  });
}
