"""Documents as objects of the ``bioc`` library, and back.

Offsets run over the whole document. Each passage, or each of its sentences, is placed at its offset, and gaps
are filled with blanks. ``infons["type"]`` is the label. ``score`` and ``corpus`` are infons too, and
``attributes`` is one infon that holds a JSON object, since infons of other names may mean anything.

Passages and sentences, the other infons, relations, and the ids of annotations with such infons or in
relations are kept in the structure of the document (:mod:`openmed_ner.formats.structure`) and written back.
Annotations without location, which are about the document as a whole, are ignored. Of ``meta``, only the
structure is written.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.attributes import (
    Attributes,
    parse_evidence,
    read_attributes,
    write_attributes,
    write_evidence,
)
from openmed_ner.formats.structure import (
    Annotation,
    Infons,
    Part,
    Relation,
    Structure,
    check_infons,
    select_annotations,
)
from openmed_ner.formats.tolerance import OnBad, check_mention, fail, require_characters
from openmed_ner.text import Document, Span

if TYPE_CHECKING:
    from bioc import (
        BioCAnnotation,
        BioCDocument,
        BioCLocation,
        BioCPassage,
        BioCRelation,
        BioCSentence,
    )

LINE = "openmed_ner:line"
"""Infon that carries the line of an element of XML through the library."""
_KNOWN = frozenset({"type", "score", "corpus", "attributes", "evidence"})
"""Infons of an annotation that the fields of a span hold."""
_IDENTIFIER = "identifier"
_MAX_GAPS = 1_000_000
"""Most blanks between the passages of a document; a wrong offset must not fill the memory."""


def from_bioc(source: BioCDocument, locate: Callable[[Any], str], *, on_bad: OnBad = fail) -> Document:
    """Build a document.

    Args:
        source: the document of the library.
        locate: function that returns file and line of a part, for messages.
        on_bad: called with the error of each bad annotation, without which the document is then built.

    Raises:
        CorpusFormatError: passages overlap or lie too far apart, or a value has the wrong type.
        AnnotationError: a value of an annotation has the wrong type, or its text differs from the text at its
            locations.
    """
    name = f"document {source.id!r}"
    with _naming(f"{locate(source)}: {name}"):
        source.passages = passages = _sort_passages(source)
        document = Document(_require_name(source.id, "id"), _join_parts(passages))
        parts = tuple(_to_part(passage) for passage in passages)
        relations = tuple(_to_relation(relation) for relation in _iter_relations(source))
        own_infons = _other_infons(source.infons)

    spans, annotations = [], []
    members = {name for relation in relations for name, _ in relation.nodes}
    for annotation in _iter_annotations(source):
        if not annotation.locations:
            continue
        try:
            span = _to_span(annotation, document)
            # An identifier of ours is an attribute, too.
            infons = _other_infons(annotation.infons, known=_KNOWN)
            own = _select_identifier(span.attributes).items()
            infons = {name: value for name, value in infons.items() if (name, value) not in own}
            identifier = _require_name(annotation.id)
        except (TypeError, ValueError) as error:
            place = f"{locate(annotation)}: {name}, annotation {annotation.id!r}"
            on_bad(AnnotationError(f"{place}: {error}"))
            continue
        spans.append(span)
        annotations.append(Annotation(span.key, identifier, infons))

    # One passage over the whole text is no structure.
    if parts == (Part(0, len(document.text)),):
        parts = ()
    structure = Structure(parts, select_annotations(annotations, members), relations, own_infons)
    return structure.attach(document.with_spans(spans))


def to_bioc(document: Document, *, strings: bool = False) -> BioCDocument:
    """Build a document of the library; the inverse of :func:`from_bioc`.

    Args:
        document: the document.
        strings: if true, infons become strings, as XML needs them: anything else becomes JSON.
    """
    from bioc import BioCDocument

    structure = _with_strings(Structure.of(document)) if strings else Structure.of(document)
    target = BioCDocument()
    target.id, target.infons = document.id, dict(structure.infons)

    parts = structure.passages or (Part(0, len(document.text)),)
    texts = iter(_cut_text(parts, document.text))
    leaves: list[BioCPassage | BioCSentence] = []
    for part in parts:
        passage = _to_passage(part, [next(texts) for _ in part.leaves])
        target.add_passage(passage)
        leaves += passage.sentences or [passage]

    offsets = [leaf.offset for leaf in leaves]
    names = structure.name_spans(document.spans)
    for span, name, annotation in zip(document.spans, names, structure.match(document.spans), strict=True):
        holder = leaves[max(bisect_right(offsets, span.start) - 1, 0)]
        holder.add_annotation(_to_annotation(document, span, name, annotation.infons if annotation else {}))

    for relation in structure.surviving_relations(names):
        target.add_relation(_from_relation(relation))
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


def _iter_relations(source: BioCDocument) -> Iterator[BioCRelation]:
    for passage in source.passages:
        for sentence in passage.sentences:
            yield from sentence.relations
        yield from passage.relations
    yield from source.relations


def _list_leaves(passage: BioCPassage) -> list[BioCPassage | BioCSentence]:
    """The parts of a passage that hold its text, in order: itself, or its sentences.

    Raises:
        ValueError: both hold text, or an offset is not a number.
    """
    sentences = [sentence for sentence in passage.sentences if sentence.text]
    if passage.text and sentences:
        raise ValueError(f"the passage at {passage.offset} has text and sentences, expected one of them")
    for part in (passage, *sentences):
        _require_number(part.offset, "offset")
    return sorted(sentences, key=lambda sentence: sentence.offset) or [passage]


def _sort_passages(source: BioCDocument) -> list[BioCPassage]:
    """Put the passages in the order of their offsets."""
    return sorted(source.passages, key=lambda passage: _list_leaves(passage)[0].offset)


def _join_parts(passages: Iterable[BioCPassage]) -> str:
    pieces: list[str] = []
    end = n_blanks = 0
    for part in (leaf for passage in passages for leaf in _list_leaves(passage) if leaf.text):
        offset, text = part.offset, _require_text(part.text, "text")
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


def _to_part(passage: BioCPassage) -> Part:
    leaves = _list_leaves(passage)
    sentences = () if leaves == [passage] else tuple(_to_leaf(sentence) for sentence in leaves)
    if not sentences:
        return _to_leaf(passage)
    length = max(sentences[-1].end - passage.offset, 0)
    return Part(passage.offset, length, _other_infons(passage.infons), sentences)


def _to_leaf(part: BioCPassage | BioCSentence) -> Part:
    return Part(part.offset, len(part.text or ""), _other_infons(part.infons))


def _to_passage(part: Part, texts: list[str]) -> BioCPassage:
    """Build a passage from the text of itself or of its sentences."""
    from bioc import BioCPassage, BioCSentence

    passage = BioCPassage()
    passage.offset, passage.infons = part.offset, dict(part.infons)
    if not part.sentences:
        (passage.text,) = texts
    for inner, text in zip(part.sentences, texts if part.sentences else (), strict=True):
        sentence = BioCSentence.of_text(text, inner.offset)
        sentence.infons = dict(inner.infons)
        passage.add_sentence(sentence)
    return passage


def _cut_text(parts: Iterable[Part], text: str) -> list[str]:
    """The text of each part; white space that the offsets do not tell goes to the part before it."""
    texts: list[str] = []
    next_offset = len(text)
    for leaf in reversed([leaf for part in parts for leaf in part.leaves]):
        if not leaf.length:
            texts.append("")
            continue
        follows = next_offset < len(text) and not text[leaf.end : next_offset].strip(" ")
        texts.append(text[leaf.offset : leaf.end if follows else next_offset])
        next_offset = leaf.offset
    return texts[::-1]


def _with_strings(structure: Structure) -> Structure:
    """Turn every infon into a string."""

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        return {
            name: _to_strings(entry) if name == "infons" else convert(entry) for name, entry in value.items()
        }

    return Structure.from_json(convert(structure.to_json()))


def _to_strings(infons: Infons) -> dict[str, str]:
    return {
        name: value if isinstance(value, str) else "" if value is None else json.dumps(value)
        for name, value in infons.items()
    }


def _select_identifier(attributes: Attributes) -> dict[str, str]:
    """The identifier of a linked mention as an infon, where other programs look for it."""
    value = dict(attributes).get(_IDENTIFIER)
    return {_IDENTIFIER: value} if isinstance(value, str) else {}


def _to_relation(relation: BioCRelation) -> Relation:
    nodes = tuple((_require_name(node.refid), _require_name(node.role)) for node in relation.nodes)
    return Relation(_require_name(relation.id), _other_infons(relation.infons), nodes)


def _from_relation(relation: Relation) -> BioCRelation:
    from bioc import BioCNode, BioCRelation

    target = BioCRelation()
    target.id, target.infons = relation.id, dict(relation.infons)
    for name, role in relation.nodes:
        target.add_node(BioCNode(name, role))
    return target


def _other_infons(infons: object, known: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The infons that no field of a span holds."""
    return {name: value for name, value in check_infons(infons).items() if name not in known and name != LINE}


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

    document = document.with_spans([span])  # refuses a span beyond the text
    check_mention(document.text, span, _require_text(annotation.text, "text"), subject="the annotation")
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


def _to_annotation(document: Document, span: Span, id: str, infons: Infons) -> BioCAnnotation:
    from bioc import BioCAnnotation, BioCLocation

    annotation = BioCAnnotation()
    annotation.id, annotation.text = id, document.mention(span)
    # Infons are strings; repr of a float reads back exactly.
    annotation.infons = {
        "type": span.label,
        **infons,
        **_select_identifier(span.attributes),
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


def _require_name(value: object, name: str = "name") -> str:
    """Return a name, which some programs write as a number."""
    return _require_text(str(value) if type(value) is int else "" if value is None else value, name)


def _require_number(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a number of characters as {name}, found {value!r:.60}")
    return value


def _require_score(value: object) -> float:
    try:
        return float("" if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"expected a number as score, found {value!r:.60}") from error
