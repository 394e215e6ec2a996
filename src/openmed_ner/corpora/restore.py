"""Put tokenised sentences back on the documents they were cut from.

Some corpora live on only as tokens joined by blanks, while another release holds the same documents
with their text. Compared without white space, the sentences run through the document from its first
character to its last. Finding a document, without putting spans on it, also overlooks quotation marks,
which are written in several ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from openmed_ner.errors import CorpusError
from openmed_ner.text import Document, Span

_PREFIX = 20


def squeeze(text: str) -> str:
    """A text without white space, for comparing two tokenisations of it."""
    return "".join(text.split())


def restore(sentences: Sequence[Document], originals: Iterable[Document]) -> Iterator[Document]:
    """Yield the original documents, in the order of their sentences, with the sentences' spans.

    Raises:
        CorpusError: a sentence begins no original document that the following ones complete.
    """
    by_id = {document.id: document for document in originals}
    waiting = {identifier: squeeze(document.text) for identifier, document in by_id.items()}
    squeezed = [squeeze(sentence.text) for sentence in sentences]
    first = 0
    while first < len(sentences):
        runs = {
            identifier: length
            for identifier, text in waiting.items()
            if text.startswith(squeezed[first][:_PREFIX]) and (length := _run(squeezed, first, text))
        }
        if not runs:
            raise CorpusError(
                f"{sentences[first].id}: no document consists of this sentence and those after it"
            )
        identifier = max(runs, key=lambda each: runs[each])
        original = by_id[identifier]
        yield original.with_spans(_transfer(sentences[first : first + runs[identifier]], original.text))
        first += runs[identifier]
        del waiting[identifier]


def _run(sentences: Sequence[str], first: int, text: str) -> int:
    """How many sentences from ``first`` on make up a text exactly; 0 if they do not."""
    place, index = 0, first
    while place < len(text):
        if index == len(sentences) or not text.startswith(sentences[index], place):
            return 0
        place += len(sentences[index])
        index += 1
    return index - first


def _transfer(sentences: Iterable[Document], text: str) -> Iterator[Span]:
    visible = [place for place, character in enumerate(text) if not character.isspace()]
    before = 0
    for sentence in sentences:
        counts = [0]
        for character in sentence.text:
            counts.append(counts[-1] + (not character.isspace()))
        edges = [before + count for count in counts]
        for span in sentence.spans:
            (start, end), *fragments = (
                (visible[edges[first]], visible[edges[last] - 1] + 1)
                for first, last in ((span.start, span.end), *span.fragments)
            )
            yield replace(span, start=start, end=end, fragments=tuple(fragments))
        before += counts[-1]


def select(documents: Iterable[Document], groups: Iterable[Sequence[str]]) -> Iterator[Document]:
    """Yield the documents that one of the groups of sentences was cut from.

    A group belongs to the document that equals it, or else to the one that holds its longest
    sentence: titles lost their brackets in one release of JNLPBA, so that not all are equal.

    Raises:
        CorpusError: a group belongs to no document.
    """
    documents = list(documents)
    texts = {document.id: _unquote(squeeze(document.text)) for document in documents}
    by_text = {text: identifier for identifier, text in reversed(texts.items())}
    chosen = set()
    for group in groups:
        sentences = [_unquote(squeeze(sentence)) for sentence in group]
        longest = max(sentences, key=len, default="")
        identifier = by_text.get("".join(sentences)) or next(
            (each for each, text in texts.items() if longest in text), None
        )
        if not longest or identifier is None:
            found = max(group, key=len, default="")
            raise CorpusError(f"no document holds the sentence {found[:80]!r}")
        chosen.add(identifier)
    yield from (document for document in documents if document.id in chosen)


def _unquote(text: str) -> str:
    """A text without quotation marks, whose pairs fall apart or together where sentences meet."""
    return text.translate(dict.fromkeys(map(ord, "\"'`")))
