"""Count gold mentions that do not consist of whole tokens: spaCy's English tokens, and our words.

    OPENMED_NER_CORPORA=… python benchmarks/tokens.py

The mentions are those of all dev splits. A mention fits if a token begins at its start and a token ends at
its end. The last line is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import spacy

from openmed_ner.bundle.record import provenance
from openmed_ner.corpora import CATALOG, load_split
from openmed_ner.text import Document, iter_tokens

Cut = Callable[[str], Iterator[tuple[int, int]]]
_english = spacy.blank("en")


def cut_by_spacy(text: str) -> Iterator[tuple[int, int]]:
    for token in _english(text):
        yield token.idx, token.idx + len(token)


def cut_by_us(text: str) -> Iterator[tuple[int, int]]:
    for token in iter_tokens(text):
        yield token.start, token.end


def count_lost(documents: Sequence[Document], cut: Cut) -> int:
    lost = 0
    for document in documents:
        starts, ends = map(set, zip(*cut(document.text), strict=True))
        lost += sum(span.start not in starts or span.end not in ends for span in document.spans)
    return lost


def main() -> None:
    rows = []
    for name, corpus in CATALOG.items():
        if "dev" in corpus.splits:
            documents = load_split(name, "dev").documents
            lost = {"spacy": count_lost(documents, cut_by_spacy), "ours": count_lost(documents, cut_by_us)}
            rows.append(
                {"corpus": name, "mentions": sum(len(document.spans) for document in documents), **lost}
            )
            print(rows[-1], flush=True)
    print(json.dumps({"benchmark": "tokens", "spacy": spacy.__version__, "corpora": rows, **provenance()}))


if __name__ == "__main__":
    main()
