"""Documents as objects of the ``bioc`` library, and back.

Offsets run over the whole document: each passage, or each of its sentences, is placed at its offset,
and gaps are filled with blanks. ``infons["type"]`` is the label; ``score`` and ``corpus`` are infons too,
and ``attributes`` is one infon that holds a JSON object, for infons of other names may mean anything.
Relations, further infons and annotations without location, which speak of a document and not of its
characters, are passed over; ``meta`` is not written. A document is written as one passage. The price: the
division of a text into passages does not survive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.attributes import read_attributes, write_attributes
from openmed_ner.text import Document, Span

if TYPE_CHECKING:
    from bioc import BioCAnnotation, BioCDocument, BioCLocation, BioCPassage, BioCSentence

NOT_UTF8 = re.compile(r"[\ud800-\udfff]")
"""Half of a surrogate pair, which JSON can spell and no file in UTF-8 can hold."""
_MAX_GAPS = 1_000_000
"""Blanks that a document may need between its passages; a wrong offset must not fill the memory."""


def from_bioc(found: BioCDocument, where: Callable[[Any], str]) -> Document:
    """Build a document; ``where`` tells file and line of a part.

    Raises:
        CorpusFormatError: passages overlap or lie too far apart, a value is of the wrong kind, or the text
            of an annotation is not what stands at its locations.
    """
    name = f"document {found.id!r}"
    with _naming(f"{where(found)}: {name}"):
        document = Document(_require_text(found.id, "id"), _join_parts(found))
    spans = []
    for annotation in _iter_annotations(found):
        with _naming(f"{where(annotation)}: {name}, annotation {annotation.id!r}"):
            if annotation.locations:
                spans.append(_to_span(annotation, document))
    return document.with_spans(spans)


def to_bioc(document: Document) -> BioCDocument:
    """The inverse of :func:`from_bioc`, as one passage."""
    from bioc import BioCDocument, BioCPassage

    made = BioCDocument()
    made.id = document.id
    passage = BioCPassage.of_text(document.text, 0)
    for number, span in enumerate(document.spans, start=1):
        passage.add_annotation(_to_annotation(document, span, f"T{number}"))
    made.add_passage(passage)
    return made


@contextmanager
def _naming(place: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise CorpusFormatError(f"{place}: {error}") from error


def _iter_annotations(found: BioCDocument) -> Iterator[BioCAnnotation]:
    for passage in found.passages:
        for sentence in passage.sentences:
            yield from sentence.annotations
        yield from passage.annotations
    yield from found.annotations


def _iter_parts(found: BioCDocument) -> Iterator[BioCPassage | BioCSentence]:
    """Whatever holds text: passages, or their sentences."""
    for passage in found.passages:
        sentences = [sentence for sentence in passage.sentences if sentence.text]
        if passage.text and sentences:
            raise ValueError(f"the passage at {passage.offset} has text and sentences, expected either")
        yield from [passage] if passage.text else sentences


def _join_parts(found: BioCDocument) -> str:
    pieces: list[str] = []
    end = n_blanks = 0
    for part in _iter_parts(found):
        offset, text = _require_number(part.offset, "offset"), _require_text(part.text, "text")
        if offset < end:
            raise ValueError(
                f"text at {offset} ({text[:20]!r}) overlaps what stands before, which ends at {end}"
            )
        n_blanks += offset - end
        if n_blanks > _MAX_GAPS:
            raise ValueError(
                f"text at {offset} needs {n_blanks} blanks before it; at most {_MAX_GAPS} are filled"
            )
        pieces += [" " * (offset - end), text]
        end = offset + len(text)
    return "".join(pieces)


def _to_span(annotation: BioCAnnotation, document: Document) -> Span:
    infons = annotation.infons
    if not isinstance(infons, dict) or not infons.get("type"):
        raise ValueError('there is no infon "type", which is the label')
    label = _require_text(infons["type"], "type")
    score = _require_score(infons["score"]) if "score" in infons else None
    corpus = _require_text(infons["corpus"] or "", "corpus") if "corpus" in infons else None
    fragments = _to_fragments(annotation.locations)
    inner = fragments if len(fragments) > 1 else ()
    raw = infons.get("attributes")
    attributes = read_attributes("" if raw is None else _require_text(raw, "attributes"))
    span = Span(fragments[0][0], fragments[-1][1], label, score, corpus, inner, attributes)
    mention = document.with_spans([span]).mention(span)
    if mention != annotation.text:
        places = ", ".join(f"{start}..{end}" for start, end in fragments)
        raise ValueError(
            f"characters {places} are {mention!r}, but the annotation says {annotation.text!r}; correct one"
        )
    return span


def _to_fragments(locations: Iterable[BioCLocation]) -> tuple[tuple[int, int], ...]:
    """Locations as ranges, in order, those that touch made one."""
    fragments: list[tuple[int, int]] = []
    for start, length in sorted(
        (_require_number(location.offset, "offset"), _require_number(location.length, "length"))
        for location in locations
    ):
        first = fragments.pop()[0] if fragments and fragments[-1][1] == start else start
        fragments.append((first, start + length))
    return tuple(fragments)


def _to_annotation(document: Document, span: Span, id: str) -> BioCAnnotation:
    from bioc import BioCAnnotation, BioCLocation

    made = BioCAnnotation()
    made.id, made.text = id, document.mention(span)
    made.infons = {
        "type": span.label,
        **({} if span.score is None else {"score": repr(float(span.score))}),
        **({} if span.corpus is None else {"corpus": span.corpus}),
        **({"attributes": write_attributes(span.attributes)} if span.attributes else {}),
    }
    for start, end in span.fragments or ((span.start, span.end),):
        made.add_location(BioCLocation(start, end - start))
    return made


def _require_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string as {name}, found {value!r:.60}")
    if NOT_UTF8.search(value):
        raise ValueError(f"the {name} holds half of a surrogate pair, which is not a character")
    return value


def _require_number(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a number of characters as {name}, found {value!r:.60}")
    return value


def _require_score(value: object) -> float:
    try:
        return float("" if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"expected a number as score, found {value!r:.60}") from error
