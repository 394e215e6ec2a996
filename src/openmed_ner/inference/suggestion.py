"""Choose the documents that are most worth annotating.

A model learns most from texts it is unsure about (uncertainty sampling, Lewis and Gale, 1994). The doubt of a
place that may be a mention is one minus its margin (:mod:`openmed_ner.tagging.margins`), and the doubt of a
document is the sum over its places for 100 words. A plain sum would choose the longest documents, which take
longest to annotate, and a mean those with a single place. Settles and Craven (2008) compare such scores for
sequences, and EXPERIMENTS.md (2026-11-28) those that were tried here.

Documents that ask the same question teach little together. The document with the most doubt is chosen first,
and each place of a name counts half as much for each chosen or annotated document that has the name (greedy
choice by doubt and novelty, after Shen et al., 2004). As doubt only falls, the next document is found without
scoring all again (lazy greedy, Minoux, 1978).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush, heapreplace

from openmed_ner.errors import InputError
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.inference.tagger import Tagger
from openmed_ner.tagging.margins import Candidate
from openmed_ner.text import Document

KEPT = 20
"""Documents that are kept for the choice, as a multiple of the number to choose."""
FEWEST_KEPT = 1000
"""Documents that are kept at least."""
SHORTEST = 50
"""Words of the shortest documents: shorter ones have the doubt of one with this number."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A document that is worth annotating, and the reason.

    Attributes:
        document: the document, with the mentions that the model finds.
        score: its doubt for 100 words when it was chosen. Names of documents chosen before count less.
        candidates: mentions and possible mentions, the least sure first.
    """

    document: Document
    score: float
    candidates: tuple[Candidate, ...]


def suggest_documents(
    tagger: Tagger,
    texts: Iterable[str | Document],
    *,
    count: int,
    labelled: Iterable[Document] = (),
    corpora: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    on_bad: OnBad = fail,
) -> list[Suggestion]:
    """Choose the documents that are most worth annotating, the best first.

    A text that occurs twice is chosen once. Of long streams, only the documents with most doubt are kept.

    Args:
        tagger: the model that is to become better.
        texts: texts to choose from, without regard to spans.
        count: number of documents to choose; all, in order, if there are fewer.
        labelled: annotated documents, which are not chosen. Their mentions are known names.
        corpora: heads to use, see :meth:`openmed_ner.Tagger.pipe`.
        types: entity types to use.
        on_bad: called with the error of each text that is no text.

    Raises:
        InputError: the count is below 1, or a corpus or type is unknown.
    """
    if count < 1:
        raise InputError(f"count {count}: expected a number above 0")
    seen: set[int] = set()
    names: Counter[str] = Counter()
    for document in labelled:
        seen.add(_digest(document.text))
        names.update({_normalise(document.mention(span)) for span in document.spans})

    new = _iter_new(texts, seen)
    tagged = tagger.pipe_candidates(new, corpora=corpora, types=types, on_bad=on_bad)
    places = (_Place.read(number, *pair) for number, pair in enumerate(tagged))
    kept = _keep_highest(places, names, max(FEWEST_KEPT, KEPT * count))
    return list(_choose(kept, names, count))


@dataclass(slots=True)
class _Place:
    """A document to choose from.

    Attributes:
        number: place of the document in the stream, which decides between equals.
        document: the document.
        candidates: its mentions and possible mentions.
        doubts: doubt of the candidates of each name.
        hundreds: hundreds of its words, at least :data:`SHORTEST` words.
    """

    number: int
    document: Document
    candidates: tuple[Candidate, ...]
    doubts: Mapping[str, float]
    hundreds: float

    @classmethod
    def read(cls, number: int, document: Document, candidates: tuple[Candidate, ...]) -> _Place:
        doubts: dict[str, float] = defaultdict(float)
        for candidate in candidates:
            doubts[_normalise(document.text[candidate.start : candidate.end])] += candidate.doubt
        n_words = max(SHORTEST, len(document.text.split()))
        return cls(number, document, candidates, doubts, n_words / 100)

    def score(self, names: Mapping[str, int]) -> float:
        """Doubt of the document for 100 words, given the number of documents that have each name."""
        total = sum(doubt * 0.5 ** names.get(name, 0) for name, doubt in self.doubts.items())
        return total / self.hundreds


def _iter_new(texts: Iterable[str | Document], seen: set[int]) -> Iterator[str | Document]:
    """Yield the texts that are not seen before; what is no text is left to the tagger."""
    for text in texts:
        content = text.text if isinstance(text, Document) else text
        if isinstance(content, str):
            digest = _digest(content)
            if digest in seen:
                continue
            seen.add(digest)
        yield text


def _keep_highest(places: Iterable[_Place], names: Mapping[str, int], size: int) -> list[_Place]:
    """Keep the documents with most doubt."""
    heap: list[tuple[float, int, _Place]] = []
    for place in places:
        entry = (place.score(names), -place.number, place)
        if len(heap) < size:
            heappush(heap, entry)
        elif entry[:2] > heap[0][:2]:
            heapreplace(heap, entry)
    return [place for *_, place in heap]


def _choose(places: Iterable[_Place], names: Counter[str], count: int) -> Iterator[Suggestion]:
    """Yield the document with most doubt, and count its names, until enough are chosen."""
    heap = [(-place.score(names), place.number, place) for place in places]
    heapify(heap)
    while heap and count:
        _, number, place = heappop(heap)
        score = place.score(names)
        # The stored score may be older than the last choice. It never rises, so the first that still leads is
        # the highest of all.
        if heap and (-score, number) > heap[0][:2]:
            heappush(heap, (-score, number, place))
            continue
        names.update(place.doubts.keys())
        count -= 1
        candidates = sorted(place.candidates, key=lambda candidate: (candidate.margin, candidate.start))
        yield Suggestion(place.document, score, tuple(candidates))


def _normalise(name: str) -> str:
    return " ".join(name.casefold().split())


def _digest(text: str) -> int:
    return hash(_normalise(text))
