/**
 * The concepts of mentions and those above them, as the service lists them, and their numbers of mentions.
 * @module
 */

/** @typedef {import("./mentions.js").TaggedDocument} TaggedDocument */
/** @typedef {{id: string, name: string, mentions: number, documents: number}} Count */

/**
 * @param {Record<string, {name: string, parents: string[]}>} record concepts of a response, by identifier
 */
export function createHierarchy(record) {
  const places = new Map(Object.entries(record));
  /** @type {Map<string, Set<string>>} */
  const known = new Map();

  /**
   * The concepts of an attribute `identifier` and all concepts above them. A cycle ends where it began.
   * @param {string} value identifiers, joined by `|`
   * @returns {Set<string>}
   */
  function expand(value) {
    if (known.has(value)) return known.get(value);
    const concepts = new Set();
    const waiting = value.split("|");
    while (waiting.length) {
      const id = waiting.pop();
      if (concepts.has(id) || !places.has(id)) continue;
      concepts.add(id);
      waiting.push(...places.get(id).parents);
    }
    known.set(value, concepts);
    return concepts;
  }

  return { expand, nameOf: (id) => places.get(id)?.name ?? "" };
}

/**
 * Numbers of mentions and of documents of each concept, the most frequent first; a mention counts for its
 * concept and for all above.
 * @param {TaggedDocument[]} documents
 * @param {(id: string) => string} nameOf
 * @returns {Count[]}
 */
export function countConcepts(documents, nameOf) {
  /** @type {Map<string, Count>} */
  const counts = new Map();
  for (const { mentions } of documents) {
    const present = new Set();
    for (const { layers } of mentions) {
      const concepts = new Set(layers.flatMap((layer) => [...layer.concepts]));
      for (const id of concepts) {
        if (!counts.has(id)) counts.set(id, { id, name: nameOf(id), mentions: 0, documents: 0 });
        counts.get(id).mentions += 1;
        present.add(id);
      }
    }
    for (const id of present) counts.get(id).documents += 1;
  }
  return [...counts.values()].sort((one, other) => other.mentions - one.mentions || (one.name < other.name ? -1 : 1));
}
