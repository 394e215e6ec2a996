"""Documents as objects of the ``bioc`` library, and back.

Offsets run over the whole document. Each passage, or each of its sentences, is placed at its offset, and gaps
are filled with blanks. ``infons["type"]`` is the label. ``score`` and ``corpus`` are infons too, and
``attributes`` is one infon that holds a JSON object, since infons of other names may mean anything.

Relations, other infons, and annotations without location, which are about the document as a whole, are
ignored. ``meta`` is not written. A document is written as one passage, so the division into passages is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.attributes import (
    parse_evidence,
    read_attributes,
    write_attributes,
    write_evidence,
)
from openmed_ner.formats.tolerance import require_characters
from openmed_ner.text import Document, Span

if TYPE_CHECKING:
    from bioc import BioCAnnotation, BioCDocument, BioCLocation, BioCPassage, BioCSentence

_MAX_GAPS = 1_000_000
"""Most blanks between the passages of a document; a wrong offset must not fill the memory."""


def from_bioc(source: BioCDocument, locate: Callable[[Any], str]) -> Document:
    """Build a document.

    Args:
        source: the document of the library.
        locate: function that returns file and line of a part, for messages.

    Raises:
        CorpusFormatError: passages overlap or lie too far apart, a value has the wrong type, or the text of
            an annotation differs from the text at its locations.
    """
    name = f"document {source.id!r}"
    with _naming(f"{locate(source)}: {name}"):
        document = Document(_require_text(source.id, "id"), _join_parts(source))

    spans = []
    for annotation in _iter_annotations(source):
        with _naming(f"{locate(annotation)}: {name}, annotation {annotation.id!r}"):
            if annotation.locations:
                spans.append(_to_span(annotation, document))
    return document.with_spans(spans)


def to_bioc(document: Document) -> BioCDocument:
    """Build a document of the library, with one passage; the inverse of :func:`from_bioc`."""
    from bioc import BioCDocument, BioCPassage

    target = BioCDocument()
    target.id = document.id
    passage = BioCPassage.of_text(document.text, 0)
    for number, span in enumerate(document.spans, start=1):
        passage.add_annotation(_to_annotation(document, span, f"T{number}"))
    target.add_passage(passage)
    return target


@contextmanager
def _naming(place: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise CorpusFormatError(f"{place}: {error}") from error


def _iter_annotations(source: BioCDocument) -> Iterator[BioCAnnotation]:
    for passage in source.passages:
        for sentence in passage.sentences:
            yield from sentence.annotations
        yield from passage.annotations
    yield from source.annotations


def _iter_parts(source: BioCDocument) -> Iterator[BioCPassage | BioCSentence]:
    """Yield the parts that hold text: passages, or their sentences."""
    for passage in source.passages:
        sentences = [sentence for sentence in passage.sentences if sentence.text]
        if passage.text and sentences:
            raise ValueError(f"the passage at {passage.offset} has text and sentences, expected one of them")
        yield from [passage] if passage.text else sentences


def _join_parts(source: BioCDocument) -> str:
    pieces: list[str] = []
    end = n_blanks = 0
    for part in _iter_parts(source):
        offset, text = _require_number(part.offset, "offset"), _require_text(part.text, "text")
        if offset < end:
            raise ValueError(
                f"text at {offset} ({text[:20]!r}) overlaps the text before it, which ends at {end}"
            )

        n_blanks += offset - end
        if n_blanks > _MAX_GAPS:
            raise ValueError(
                f"text at {offset} needs {n_blanks} blanks before it; at most {_MAX_GAPS} are filled in"
            )

        pieces += [" " * (offset - end), text]
        end = offset + len(text)
    return "".join(pieces)


def _to_span(annotation: BioCAnnotation, document: Document) -> Span:
    infons = annotation.infons
    if not isinstance(infons, dict) or not infons.get("type"):
        raise ValueError('the infon "type", which is the label, is missing')

    label = _require_text(infons["type"], "type")
    score = _require_score(infons["score"]) if "score" in infons else None
    corpus = _require_text(infons["corpus"] or "", "corpus") if "corpus" in infons else None

    fragments = _to_fragments(annotation.locations)
    inner = fragments if len(fragments) > 1 else ()
    raw = infons.get("attributes")
    attributes = read_attributes("" if raw is None else _require_text(raw, "attributes"))
    evidence = parse_evidence(infons.get("evidence"))
    span = Span(fragments[0][0], fragments[-1][1], label, score, corpus, inner, attributes, evidence)

    mention = document.with_spans([span]).mention(span)
    if mention != annotation.text:
        places = ", ".join(f"{start}..{end}" for start, end in fragments)
        raise ValueError(
            f"characters {places} are {mention!r}, but the annotation has {annotation.text!r}; correct one"
        )
    return span


def _to_fragments(locations: Iterable[BioCLocation]) -> tuple[tuple[int, int], ...]:
    """Turn locations into ranges in order; adjacent ones become one."""
    fragments: list[tuple[int, int]] = []
    for start, length in sorted(
        (_require_number(location.offset, "offset"), _require_number(location.length, "length"))
        for location in locations
    ):
        # Some files write a contiguous mention as two adjacent locations.
        first = fragments.pop()[0] if fragments and fragments[-1][1] == start else start
        fragments.append((first, start + length))
    return tuple(fragments)


def _to_annotation(document: Document, span: Span, id: str) -> BioCAnnotation:
    from bioc import BioCAnnotation, BioCLocation

    annotation = BioCAnnotation()
    annotation.id, annotation.text = id, document.mention(span)
    # Infons are strings; repr of a float reads back exactly.
    annotation.infons = {
        "type": span.label,
        **({} if span.score is None else {"score": repr(float(span.score))}),
        **({} if span.corpus is None else {"corpus": span.corpus}),
        **({"attributes": write_attributes(span.attributes)} if span.attributes else {}),
        **write_evidence(span.evidence),
    }
    for start, end in span.fragments or ((span.start, span.end),):
        annotation.add_location(BioCLocation(start, end - start))
    return annotation


def _require_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string as {name}, found {value!r:.60}")
    require_characters(value, name)
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
