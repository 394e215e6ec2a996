"""PubTator: ``id|t|title``, ``id|a|abstract`` and one tab-separated line per mention.

Offsets run over the title, one separator and the abstract. The text built here is the same, with a blank as
separator. Title and abstract, the fields after the label (the identifier of a concept, parts of a composite
mention) and relations are kept in the structure of the document (:mod:`openmed_ner.formats.structure`), and
written back.

Any blank can be that separator, so a document without this structure is written with its first sentence as
title, and reads back with the same text. Tabs and line breaks are refused, or with ``exact=False`` replaced
by blanks one by one: offsets stay true, but the text changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TextIO

from openmed_ner.errors import AnnotationError, CorpusFormatError, UnrepresentableError
from openmed_ner.formats.structure import Annotation, Part, Relation, Structure
from openmed_ner.formats.tolerance import OnBad, check_mention, excerpt, fail, require_utf8
from openmed_ner.text import Document, Span

_PASSAGE = re.compile(r"([^|\t]+)\|([ta])\|(.*)", re.DOTALL)
_OFFSET = re.compile("[0-9]{1,18}")
_RELATION_TYPE = re.compile(r"[^\W\d_].*", re.DOTALL)
_RELATION_FIELDS = ("type", "entity1", "entity2", "novel")
_N_MENTION_FIELDS = 5
_N_RELATION_FIELDS = 3
"""Fewest tabbed fields of a line of annotations, the id of its document left out."""
_MAX_FIELDS = 64
"""Most tabs of a line that separate fields; tmVar's lines have eight fields."""
_MENTION_FIELDS = ("identifier", "individual_mentions")
"""Names of the fields of a relation after the id, and of those of a mention after the label, as infons."""
_IDENTIFIER_FIELD = _MENTION_FIELDS[0]
_IDENTIFIER = re.compile("(?!\ufeff)[^|\t\r\n]+")
_TITLE = re.compile("(.*?[.?!]) (.*)", re.DOTALL)
_BREAKS = re.compile("[\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]")
"""The tab, and every line end of ``str.splitlines``."""
Line = tuple[int, str]


def read_pubtator(
    file: TextIO, *, source: str, on_bad: OnBad = fail, max_drift: int = 0
) -> Iterator[Document]:
    """Yield one document per block of lines; a byte order mark is dropped, a bad block goes to ``on_bad``.

    A bad mention goes to ``on_bad`` too, and the document is read without it. A blank line or the title of
    another document ends a block. A line whose second field begins with a letter
    is a relation. Blanks at the end of a mention are not compared: the NCBI-Disease release has such a line
    (10923035, 711..761).

    Args:
        file: open file.
        source: name of the file, for messages.
        on_bad: called with the error of each bad block or mention.
        max_drift: largest distance of a mention from its offsets, in characters. A mention that is not at its
            offsets is read where its text occurs nearest to them.

    Raises:
        CorpusFormatError: a block lacks a title, or a line of text is about another document.
        AnnotationError: a line does not parse, is about another document, or has a mention that differs from
            the text at its offsets.
    """
    lines = (
        (number, line.removeprefix("\ufeff" * (number == 1)).rstrip("\r\n"))
        for number, line in enumerate(file, start=1)
    )
    for block in _iter_blocks(lines):
        try:
            document = _read_block(block, source, max_drift, on_bad)
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def _iter_blocks(lines: Iterable[Line]) -> Iterator[list[Line]]:
    """Yield the lines of each document."""
    block: list[Line] = []
    identifier = None
    for number, line in lines:
        title = _PASSAGE.fullmatch(line)
        is_next = title is not None and title[2] == "t" and title[1] != identifier
        if block and (is_next or not line.strip()):
            yield block
            block = []
        if line.strip():
            identifier = title[1] if title and not block else identifier
            block.append((number, line))
    if block:
        yield block


def _read_block(lines: list[Line], source: str, max_drift: int, on_bad: OnBad) -> Document:
    for number, line in lines:
        try:
            require_utf8(line)
        except ValueError as error:
            raise CorpusFormatError(f"{source}, line {number}: {error}") from error

    number, first = lines[0]
    title = _PASSAGE.fullmatch(first)
    if title is None or title[2] != "t":
        raise CorpusFormatError(f"{source}, line {number}: expected 'id|t|title', found {excerpt(first)}")

    identifier, text = title[1], title[3]
    passages = [Part(0, len(text), {"type": "title"})]
    rest = lines[1:]
    abstract = _PASSAGE.fullmatch(rest[0][1]) if rest else None
    if abstract and (abstract[1], abstract[2]) == (identifier, "a"):
        passages.append(Part(len(text) + 1, len(abstract[3]), {"type": "abstract"}))
        text = f"{text} {abstract[3]}"
        rest = rest[1:]

    entries = []
    for entry in rest:
        try:
            entries.append(_read_line(entry, identifier, text, source, max_drift))
        except AnnotationError as error:
            on_bad(error)
    spans = [entry for entry, _ in entries if isinstance(entry, Span)]
    relations = [entry for entry, _ in entries if isinstance(entry, Relation)]
    fields = [infons for entry, infons in entries if isinstance(entry, Span)]
    entries_with_fields = enumerate(zip(spans, fields, strict=True), start=1) if any(fields) else ()
    annotations = tuple(
        Annotation(span.key, f"T{index}", infons) for index, (span, infons) in entries_with_fields
    )
    structure = Structure(tuple(passages), annotations, tuple(relations))
    return structure.attach(Document(identifier, text, tuple(spans)))


def _read_line(
    line: Line, identifier: str, text: str, source: str, max_drift: int
) -> tuple[Span | Relation, dict[str, str]]:
    """Read a mention, with the fields after its label, or a relation."""
    number, content = line
    place = f"{source}, line {number}"
    fields = content.split("\t", _MAX_FIELDS)
    if fields[0] != identifier:
        # A line between tabs holds no text.
        kind = AnnotationError if len(fields) >= _N_RELATION_FIELDS else CorpusFormatError
        raise kind(f"{place}: expected document {identifier!r}, found {excerpt(content)}")
    # BC5CDR has relations of four fields, BioRED of five: id, type, concept, concept, novelty.
    if len(fields) > 3 and _RELATION_TYPE.fullmatch(fields[1]):
        return Relation("", _name_fields(_RELATION_FIELDS, fields[1:])), {}
    if len(fields) < _N_MENTION_FIELDS or not all(map(_OFFSET.fullmatch, fields[1:3])):
        raise AnnotationError(
            f"{place}: expected id, start, end, mention and label between tabs, found {excerpt(content)}"
        )

    start, end, mention, label = int(fields[1]), int(fields[2]), fields[3], fields[4]
    matches = end - start <= len(mention) and text[start:end] in (mention, mention.rstrip())
    if not matches and (nearest := _find_nearest(mention, text, start, max_drift)) is not None:
        start, end, matches = nearest, nearest + len(mention), True

    if not start < end <= len(text) or not label:
        raise AnnotationError(
            f"{place}: span {start}..{end} {label!r} does not fit a text of {len(text)} characters"
        )
    span = Span(start, end, label)
    if not matches:
        try:
            check_mention(text, span, mention, subject="the line")
        except ValueError as error:
            raise AnnotationError(f"{place}: {error}") from error
    return span, _name_fields(_MENTION_FIELDS, fields[_N_MENTION_FIELDS:])


def _name_fields(names: tuple[str, ...], values: list[str]) -> dict[str, str]:
    """Turn fields into infons; those without a name are numbered."""
    return {_field_name(names, index): value for index, value in enumerate(values)}


def _list_fields(names: tuple[str, ...], infons: Mapping[str, Any]) -> list[str]:
    """The inverse of :func:`_name_fields`; it ends before a value that PubTator cannot hold."""
    fields: list[str] = []
    while isinstance(value := infons.get(_field_name(names, len(fields))), str):
        if re.search("[\t\r\n]", value):
            break
        fields.append(value)
    return fields


def _field_name(names: tuple[str, ...], index: int) -> str:
    return names[index] if index < len(names) else f"field{index + 1}"


def _find_nearest(mention: str, text: str, start: int, max_drift: int) -> int | None:
    """Return the offset of the occurrence that is nearest to ``start``; ``None`` if all are too far."""
    first, last = max(start - max_drift, 0), start + max_drift
    starts = [place for place in range(first, last + 1) if text.startswith(mention, place)]
    return min(starts, key=lambda place: abs(place - start)) if max_drift and starts else None


def write_pubtator(
    documents: Iterable[Document], file: TextIO, *, exact: bool = True, on_bad: OnBad = fail
) -> None:
    """Write title, abstract, mentions and relations of each document, and a blank line.

    Of ``meta``, only the structure is written.

    Args:
        documents: the documents.
        file: target.
        exact: refuse documents that would not read back the same. Otherwise tabs and line breaks become
            blanks, and scores, corpora and attributes are dropped, except for ``identifier``.
        on_bad: called with the error of each refused document.

    Raises:
        UnrepresentableError: a document has an empty id or one with ``|``, tab or line break, a label with
            tab or line break, or a discontinuous span; if ``exact``, also a text with a line break, a mention
            with a tab, or a span with score, corpus or attributes.
    """
    for document in documents:
        target = document if exact else _flatten(document)
        if reason := _refusal(target, exact=exact):
            on_bad(UnrepresentableError(f"document {document.id!r}: PubTator cannot hold {reason}"))
            continue
        structure = Structure.of(target)
        lines = [*_passages(target, structure), *_mentions(target, structure), *_relations(target, structure)]
        file.write("\n".join(lines) + "\n\n")


def _flatten(document: Document) -> Document:
    """Replace each tab and line break of the text by a blank; drop all but the places, labels and identifiers
    of spans."""
    spans = tuple(
        Span(span.start, span.end, span.label, fragments=span.fragments).with_attributes(
            _select_identifier(span)
        )
        for span in document.spans
    )
    return replace(document, text=_BREAKS.sub(" ", document.text), spans=spans)


def _refusal(document: Document, *, exact: bool) -> str | None:
    """Return the reason why a document cannot be written; ``None`` if it can."""
    if not _IDENTIFIER.fullmatch(document.id):
        return "this id, which is empty, begins with a byte order mark, or has '|', a tab or a line break"
    if re.search("[\r\n]", document.text):
        return "a text with line breaks; choose another format, or let them become blanks"

    for span in document.spans:
        subject = f"the span {span.start}..{span.end} ({span.label!r})"
        if span.fragments:
            return f"{subject}, which is discontinuous"
        if re.search("[\t\r\n]", span.label):
            return f"{subject}, whose label has a tab or a line break"
        if "\t" in document.mention(span):
            return f"{subject}, whose mention has a tab"
        if exact and span != Span(span.start, span.end, span.label):
            return f"{subject}, which has a score, a corpus or attributes"
    return None


def _passages(document: Document, structure: Structure) -> list[str]:
    """The lines of title and abstract: as in the structure, or the first sentence and the rest."""
    text = document.text
    passages = structure.passages
    if len(passages) == 1 and passages[0].infons.get("type") == "title":
        return [f"{document.id}|t|{text}"]

    # The separator of title and abstract is one blank.
    end = passages[0].end if passages else 0
    if len(passages) > 1 and passages[1].offset > end and text[end : end + 1] == " ":
        return [f"{document.id}|t|{text[:end]}", f"{document.id}|a|{text[end + 1 :]}"]

    title = _TITLE.fullmatch(text)
    if title is None:
        return [f"{document.id}|t|{text}"]
    return [f"{document.id}|t|{title[1]}", f"{document.id}|a|{title[2]}"]


def _mentions(document: Document, structure: Structure) -> list[str]:
    lines = []
    for span, annotation in zip(document.spans, structure.match(document.spans), strict=True):
        infons = {**(annotation.infons if annotation else {}), **_select_identifier(span)}
        fields = _list_fields(_MENTION_FIELDS, infons)
        place = [document.id, str(span.start), str(span.end), document.mention(span), span.label]
        lines.append("\t".join([*place, *fields]))
    return lines


def _select_identifier(span: Span) -> dict[str, str]:
    """The identifier of a linked mention, which replaces that of the source."""
    value = dict(span.attributes).get(_IDENTIFIER_FIELD)
    return {_IDENTIFIER_FIELD: value} if isinstance(value, str) else {}


def _relations(document: Document, structure: Structure) -> list[str]:
    """The lines of relations between concepts; PubTator has none between mentions."""
    names = structure.name_spans(document.spans)
    fields = [
        _list_fields(_RELATION_FIELDS, relation.infons) for relation in structure.surviving_relations(names)
    ]
    return [
        "\t".join([document.id, *values])
        for values in fields
        if len(values) > 2 and _RELATION_TYPE.fullmatch(values[0])
    ]
