/**
 * What the service found: mentions with a layer per annotation guideline, filtered, counted and listed.
 *
 * Spans that agree in place and type are one mention; each of their corpora is a layer of it. Everything is
 * computed from one answer, so that a filter needs no further request.
 * @module
 */

import { assignLanes, unitsOf } from "./offsets.js";

/**
 * @typedef {{corpus: string, score: number | null, attributes: [string, unknown][], lane: number}} Layer
 * @typedef {{index: number, label: string, text: string, start: number, end: number,
 *   ranges: [number, number][], layers: Layer[]}} Mention positions in UTF-16 units
 * @typedef {{id: string, text: string, mentions: Mention[], lanes: number,
 *   coverage: {characters: number, windows: number, complete: boolean} | null}} TaggedDocument
 * @typedef {{labels: Set<string>, corpora: Set<string>, threshold: number}} Filter labels and corpora that
 *   are switched off, and the lowest score that is shown
 * @typedef {{key: string, text: string, label: string, corpora: Set<string>, count: number,
 *   score: number | null, mentions: Mention[]}} Row
 */

/**
 * Turn a document of an answer into mentions, sorted by their places.
 * @param {any} record
 * @returns {TaggedDocument}
 */
export function readDocument(record) {
  const units = unitsOf(record.text);
  /** @type {Map<string, Mention>} */
  const found = new Map();
  for (const span of record.spans ?? []) {
    const pairs = span.fragments?.length ? span.fragments : [[span.start, span.end]];
    const ranges = pairs.map(([start, end]) => /** @type {[number, number]} */ ([units(start), units(end)]));
    const key = JSON.stringify([span.label, ranges]);
    if (!found.has(key)) found.set(key, startMention(record.text, span.label, ranges));
    found.get(key).layers.push(readLayer(span));
  }
  const mentions = [...found.values()].sort((one, other) => one.start - other.start || other.end - one.end);
  mentions.forEach((mention, index) => (mention.index = index));
  const lanes = setLanes(mentions);
  return { id: String(record.id), text: record.text, mentions, lanes, coverage: record.coverage ?? null };
}

function startMention(text, label, ranges) {
  const mention = ranges.map(([start, end]) => text.slice(start, end)).join(" … ");
  const [start, end] = [ranges[0][0], ranges[ranges.length - 1][1]];
  return { index: 0, label, text: mention, start, end, ranges, layers: [] };
}

function readLayer(span) {
  const known = span.attributes ?? {};
  const attributes = Array.isArray(known) ? known : Object.entries(known);
  return { corpus: span.corpus ?? "", score: span.score ?? null, attributes, lane: 0 };
}

function setLanes(mentions) {
  const places = mentions.flatMap((mention) => mention.layers.map((layer) => ({ layer, ...mention })));
  const lanes = assignLanes(places);
  places.forEach(({ layer }, index) => (layer.lane = lanes[index]));
  return lanes.reduce((most, lane) => Math.max(most, lane + 1), 1);
}

/**
 * The layers of each mention that a filter lets through, by the mentions' numbers.
 * @param {Mention[]} mentions
 * @param {Filter} filter
 * @returns {Layer[][]}
 */
export function select(mentions, filter) {
  return mentions.map(({ label, layers }) =>
    filter.labels.has(label)
      ? []
      : layers.filter((layer) => !filter.corpora.has(layer.corpus) && isSure(layer, filter)),
  );
}

/** @param {Layer} layer @param {Filter} filter */
function isSure(layer, filter) {
  return (layer.score ?? 1) >= filter.threshold;
}

/**
 * How many mentions each type and each corpus would show, given the rest of the filter.
 * @param {Mention[]} mentions
 * @param {Filter} filter
 * @returns {{labels: Map<string, number>, corpora: Map<string, number>}}
 */
export function tally(mentions, filter) {
  const counts = { labels: new Map(), corpora: new Map() };
  const add = (map, name) => map.set(name, (map.get(name) ?? 0) + 1);
  for (const { label, layers } of mentions) {
    const sure = layers.filter((layer) => isSure(layer, filter));
    if (sure.some(({ corpus }) => !filter.corpora.has(corpus))) add(counts.labels, label);
    if (!filter.labels.has(label)) for (const { corpus } of sure) add(counts.corpora, corpus);
  }
  return counts;
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
    if (!rows.has(key)) rows.set(key, { key, text, label, corpora: new Set(), count: 0, score: null, mentions: [] });
    const row = rows.get(key);
    row.count += 1;
    row.mentions.push(mention);
    for (const { corpus, score } of layers) {
      row.corpora.add(corpus);
      if (score !== null) row.score = Math.max(row.score ?? 0, score);
    }
  }
  return [...rows.values()];
}
