/**
 * Mentions with a layer per annotation guideline: read from a response, filtered, counted and listed.
 *
 * Spans with the same place and type are one mention, with a layer for each of their corpora. Everything is
 * computed from one response, so that a filter needs no further request.
 * @module
 */

import { assignLanes, unitsOf } from "./offsets.js";

/**
 * @typedef {{corpus: string, score: number | null, attributes: [string, unknown][], lane: number,
 *   concepts: Set<string>}} Layer concepts: identifiers of its concepts and of all above them
 * @typedef {{index: number, label: string, text: string, start: number, end: number,
 *   ranges: [number, number][], layers: Layer[]}} Mention positions in UTF-16 units
 * @typedef {{id: string, text: string, mentions: Mention[], lanes: number,
 *   coverage: {characters: number, windows: number, complete: boolean} | null}} TaggedDocument
 * @typedef {{labels: Set<string>, corpora: Set<string>, threshold: number, under: string}} Filter hidden labels
 *   and corpora, the lowest score to show, and the concept to show mentions of, all if empty
 * @typedef {{key: string, text: string, label: string, corpora: Set<string>, count: number,
 *   score: number | null, mentions: Mention[], notes: Map<string, number>}} Row notes: attributes of its mentions,
 *   with the number of these
 */

/**
 * Turn a document of a response into mentions, sorted by their places.
 * @param {any} record
 * @param {(value: string) => Set<string>} [expand] function that returns the concepts of an attribute `identifier`
 *   and all concepts above them
 * @returns {TaggedDocument}
 */
export function readDocument(record, expand = () => new Set()) {
  const units = unitsOf(record.text);
  /** @type {Map<string, Mention>} */
  const byKey = new Map();
  for (const span of record.spans ?? []) {
    const pairs = span.fragments?.length ? span.fragments : [[span.start, span.end]];
    const ranges = pairs.map(([start, end]) => /** @type {[number, number]} */ ([units(start), units(end)]));
    const key = JSON.stringify([span.label, ranges]);
    if (!byKey.has(key)) byKey.set(key, startMention(record.text, span.label, ranges));
    byKey.get(key).layers.push(readLayer(span, expand));
  }
  const mentions = [...byKey.values()].sort((one, other) => one.start - other.start || other.end - one.end);
  mentions.forEach((mention, index) => (mention.index = index));
  const lanes = setLanes(mentions);
  return { id: String(record.id), text: record.text, mentions, lanes, coverage: record.coverage ?? null };
}

function startMention(text, label, ranges) {
  const mention = ranges.map(([start, end]) => text.slice(start, end)).join(" … ");
  const [start, end] = [ranges[0][0], ranges[ranges.length - 1][1]];
  return { index: 0, label, text: mention, start, end, ranges, layers: [] };
}

function readLayer(span, expand) {
  const record = span.attributes ?? {};
  const attributes = Array.isArray(record) ? [...record] : Object.entries(record);
  if (span.evidence) attributes.push(["evidence", span.evidence]);
  const identifier = attributes.find(([name]) => name === "identifier")?.[1];
  const concepts = expand(String(identifier ?? ""));
  return { corpus: span.corpus ?? "", score: span.score ?? null, attributes, lane: 0, concepts };
}

function setLanes(mentions) {
  const places = mentions.flatMap((mention) => mention.layers.map((layer) => ({ layer, ...mention })));
  const lanes = assignLanes(places);
  places.forEach(({ layer }, index) => (layer.lane = lanes[index]));
  return lanes.reduce((most, lane) => Math.max(most, lane + 1), 1);
}

/**
 * The layers of each mention that pass a filter, by the mentions' indices.
 * @param {Mention[]} mentions
 * @param {Filter} filter
 * @returns {Layer[][]}
 */
export function select(mentions, filter) {
  return mentions.map(({ label, layers }) =>
    filter.labels.has(label)
      ? []
      : layers.filter((layer) => !filter.corpora.has(layer.corpus) && passes(layer, filter)),
  );
}

/** @param {Layer} layer @param {Filter} filter */
function passes(layer, { threshold, under }) {
  return (layer.score ?? 1) >= threshold && (!under || layer.concepts.has(under));
}

/**
 * The number of mentions that each type and each corpus would show, given the rest of the filter.
 * @param {Mention[]} mentions
 * @param {Filter} filter
 * @returns {{labels: Map<string, number>, corpora: Map<string, number>}}
 */
export function tally(mentions, filter) {
  const counts = { labels: new Map(), corpora: new Map() };
  const add = (map, name) => map.set(name, (map.get(name) ?? 0) + 1);
  for (const { label, layers } of mentions) {
    const scored = layers.filter((layer) => passes(layer, filter));
    if (scored.some(({ corpus }) => !filter.corpora.has(corpus))) add(counts.labels, label);
    if (!filter.labels.has(label)) for (const { corpus } of scored) add(counts.corpora, corpus);
  }
  return counts;
}

const CONTEXT = ["negated", "family", "historical", "hypothetical"];

/**
 * The attributes of context that some layers have, such as `negated`.
 * @param {Layer[]} layers
 * @returns {string[]}
 */
export function contextOf(layers) {
  const present = new Set(layers.flatMap(({ attributes }) => attributes.map(([name]) => name)));
  return CONTEXT.filter((name) => present.has(name));
}

/** What the table notes of a mention: its context, long form and identifier. */
function notesOf(layers) {
  const values = layers.flatMap(({ attributes }) =>
    attributes.filter(([name]) => name === "long_form" || name === "identifier").map(([, value]) => String(value)),
  );
  return [...contextOf(layers), ...new Set(values)];
}

/** @param {Mention} mention */
export function rowKey(mention) {
  return `${mention.label}\n${mention.text}`;
}

/**
 * One row per type and surface form, for mentions that show a layer.
 * @param {Mention[]} mentions
 * @param {Layer[][]} shown
 * @returns {Row[]}
 */
export function listRows(mentions, shown) {
  /** @type {Map<string, Row>} */
  const rows = new Map();
  for (const mention of mentions) {
    const layers = shown[mention.index];
    if (!layers.length) continue;
    const { text, label } = mention;
    const key = rowKey(mention);
    if (!rows.has(key)) rows.set(key, startRow(key, text, label));
    const row = rows.get(key);
    row.count += 1;
    for (const note of notesOf(layers)) row.notes.set(note, (row.notes.get(note) ?? 0) + 1);
    row.mentions.push(mention);
    for (const { corpus, score } of layers) {
      row.corpora.add(corpus);
      if (score !== null) row.score = Math.max(row.score ?? 0, score);
    }
  }
  return [...rows.values()];
}

function startRow(key, text, label) {
  return { key, text, label, corpora: new Set(), count: 0, score: null, mentions: [], notes: new Map() };
}
