"""The catalog: a row for each corpus, with the files of every split and the meaning of the native labels.

A label map gives the canonical type of every native label that is read. Other native labels belong to another
corpus of the same release, or are left out, as the note says.
"""

from __future__ import annotations

from collections.abc import Mapping

from openmed_ner.corpora.benchmark import BENCHMARK
from openmed_ner.corpora.corpus import Corpus
from openmed_ner.corpora.further import FURTHER
from openmed_ner.errors import CorpusError

CATALOG: Mapping[str, Corpus] = {corpus.name: corpus for corpus in (*BENCHMARK, *FURTHER)}


def find_corpus(name: str) -> Corpus:
    """Look up a corpus by name.

    Raises:
        CorpusError: the catalog has no corpus of this name.
    """
    try:
        return CATALOG[name]
    except KeyError:
        raise CorpusError(f"unknown corpus {name!r}; known: {', '.join(CATALOG)}") from None
