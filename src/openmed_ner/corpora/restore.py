"""Transfer the spans of tokenised sentences to the original documents.

Some corpora survive only as tokens joined by blanks, while another release has the same documents with
their text. Without white space, the sentences of a document equal its text from the first character to the
last. :func:`select` only identifies documents, so it also ignores quotation marks, which are written in
several ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from openmed_ner.errors import CorpusError
from openmed_ner.text import Document, Span

_PREFIX = 20


def squeeze(text: str) -> str:
    """Remove white space, so that tokenisations of one text can be compared."""
    return "".join(text.split())


def restore(sentences: Sequence[Document], originals: Iterable[Document]) -> Iterator[Document]:
    """Yield the original documents, in the order of their sentences, with the spans of the sentences.

    Raises:
        CorpusError: no original document consists of a sentence and those after it.
    """
    by_id = {document.id: document for document in originals}
    remaining = {identifier: squeeze(document.text) for identifier, document in by_id.items()}
    squeezed = [squeeze(sentence.text) for sentence in sentences]

    first = 0
    while first < len(sentences):
        # The prefix saves comparing every sentence with every document in full.
        n_sentences = {
            identifier: count
            for identifier, text in remaining.items()
            if text.startswith(squeezed[first][:_PREFIX])
            and (count := _count_sentences(squeezed, first, text))
        }
        if not n_sentences:
            raise CorpusError(
                f"{sentences[first].id}: no document consists of this sentence and those after it"
            )

        # A short document may be a prefix of a longer one: the longest match is the right one.
        identifier, count = max(n_sentences.items(), key=lambda item: item[1])
        original = by_id[identifier]
        yield original.with_spans(_transfer(sentences[first : first + count], original.text))
        first += count
        del remaining[identifier]


def _count_sentences(sentences: Sequence[str], first: int, text: str) -> int:
    """Number of sentences from ``first`` on that equal a text; 0 if they do not."""
    position, index = 0, first
    while position < len(text):
        if index == len(sentences) or not text.startswith(sentences[index], position):
            return 0
        position += len(sentences[index])
        index += 1
    return index - first


def _transfer(sentences: Iterable[Document], text: str) -> Iterator[Span]:
    """Move the spans of sentences to a text, by counting characters other than white space."""
    visible = [position for position, character in enumerate(text) if not character.isspace()]
    n_before = 0
    for sentence in sentences:
        counts = [0]
        for character in sentence.text:
            counts.append(counts[-1] + (not character.isspace()))
        edges = [n_before + count for count in counts]
        for span in sentence.spans:
            (start, end), *fragments = (
                (visible[edges[first]], visible[edges[last] - 1] + 1)
                for first, last in ((span.start, span.end), *span.fragments)
            )
            yield replace(span, start=start, end=end, fragments=tuple(fragments))
        n_before += counts[-1]


def select(documents: Iterable[Document], groups: Iterable[Sequence[str]]) -> Iterator[Document]:
    """Yield the documents that one of the groups of sentences was taken from.

    A group belongs to the document that equals it, or else to the one that contains its longest sentence:
    titles lost their brackets in one release of JNLPBA, so not all are equal.

    Raises:
        CorpusError: a group belongs to no document.
    """
    documents = list(documents)
    texts = {document.id: _unquote(squeeze(document.text)) for document in documents}
    by_text = {text: identifier for identifier, text in reversed(texts.items())}

    selected = set()
    for group in groups:
        sentences = [_unquote(squeeze(sentence)) for sentence in group]
        longest = max(sentences, key=len, default="")
        identifier = by_text.get("".join(sentences)) or next(
            (name for name, text in texts.items() if longest in text), None
        )
        if not longest or identifier is None:
            sentence = max(group, key=len, default="")
            raise CorpusError(f"no document contains the sentence {sentence[:80]!r}")
        selected.add(identifier)

    yield from (document for document in documents if document.id in selected)


def _unquote(text: str) -> str:
    """Remove quotation marks, whose pairs are split or joined where sentences meet."""
    return text.translate(dict.fromkeys(map(ord, "\"'`")))
