"""Count the documents, words and mentions of a split, and the mentions that tags cannot hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from openmed_ner.corpora.corpus import Corpus
from openmed_ner.corpora.overlap import count_sentences, find_overlaps
from openmed_ner.corpora.split import Split, load_split
from openmed_ner.tagging.labels import encode_spans
from openmed_ner.text import Account, Document, iter_tokens


def describe_row(corpus: Corpus, folder: Path | None) -> dict[str, Any]:
    """Describe a corpus of the catalog, as ``corpora list --json`` prints it.

    Args:
        corpus: row of the catalog.
        folder: folder of the archives; ``None`` if there is none.
    """
    return {
        "name": corpus.name,
        "title": corpus.title,
        "types": list(corpus.types),
        "splits": list(corpus.splits),
        "official": list(corpus.official),
        "complete": corpus.complete,
        "here": folder is not None and all((folder / member.archive).is_file() for member in corpus.members),
        "licence": corpus.licence,
        "citation": corpus.citation,
        "home": corpus.home,
        "note": corpus.note,
    }


def describe_splits(corpus: Corpus) -> dict[str, Any]:
    """Count the splits of a corpus and compare them with each other, as the data card shows them.

    Raises:
        CorpusError: an archive is missing, or is another release.
    """
    splits = [load_split(corpus.name, name) for name in corpus.splits]
    documents = {f"{corpus.name}/{split.name}": split.documents for split in splits}
    return {
        "splits": [describe_split(split) for split in splits],
        "overlaps": [asdict(overlap) for overlap in find_overlaps(documents)],
    }


def describe_split(split: Split) -> dict[str, Any]:
    """Count a split, as ``corpora stats --json`` prints it."""
    account = Account()
    n_words = n_sentences = 0
    mentions: Counter[str] = Counter()
    for document in split.documents:
        tokens = list(iter_tokens(document.text))
        # Counts the mentions that one tag per word cannot represent.
        account += encode_spans(document, tokens, split.corpus.types)[1]
        n_words += len(tokens)
        n_sentences += count_sentences(document.text)
        mentions.update(span.label for span in document.spans)

    return {
        "corpus": split.corpus.name,
        "split": split.name,
        "documents": len(split.documents),
        "sentences": n_sentences,
        "words": n_words,
        "mentions": dict(sorted(mentions.items())),
        "nested": sum(map(_count_nested, split.documents)),
        "discontinuous": sum(bool(span.fragments) for document in split.documents for span in document.spans),
        "unrepresentable": account.lost,
        "reasons": dict(account.reasons),
        "reading": asdict(split.account),
    }


def _count_nested(document: Document) -> int:
    """Count the spans that lie within another span of the same document."""
    return sum(
        any(
            inner is not outer and outer.start <= inner.start and inner.end <= outer.end
            for outer in document.spans
        )
        for inner in document.spans
    )
