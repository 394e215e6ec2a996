"""PubAnnotation: JSON with ``text`` and ``denotations``, one object, a list of them or one per line.

``{"span": {"begin": 0, "end": 7}, "obj": "Chemical"}`` is a mention; several ranges in a list make it
discontinuous. Attributes of mentions are read, relations are kept in the structure of the document. With
``tracks``, as PubAnnotation gives several projects, the project becomes the corpus of a span.

Format: https://www.pubannotation.org/docs/annotation-format/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TextIO

from openmed_ner.formats.attributes import parse_attributes
from openmed_ner.formats.json_shapes import read_spans
from openmed_ner.formats.json_values import (
    Record,
    read_records,
    require_list,
    require_name,
    require_object,
    require_string,
)
from openmed_ner.formats.structure import Annotation, Relation, Structure, select_annotations
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document, Span


def read_pubannotation(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per object; a bad object, denotation or relation goes to ``on_bad``.

    Raises:
        CorpusFormatError: the file is not JSON, or an object has neither text nor denotations.
        AnnotationError: a denotation, attribute or relation has the wrong shape or does not fit the text.
    """
    return read_records(file, source, on_bad, name="document", read=_read_record)


def _read_record(record: Record) -> Document:
    fields = record.fields
    text = require_string(fields.get("text"), "text")
    if "denotations" not in fields and "tracks" not in fields:
        raise ValueError('expected a list under "denotations" or "tracks"')

    tracks = [require_object(track, "track") for track in require_list(fields.get("tracks"), "tracks")]
    mentions: list[tuple[Span, str]] = []
    relations: list[Relation] = []
    for track in [fields, *tracks]:
        corpus = None if track is fields else require_string(track.get("project"), "project")
        attributes = _collect_attributes(record, track)
        read = partial(_read_mention, text=text, corpus=corpus, attributes=attributes)
        mentions += record.read_each(require_list(track.get("denotations"), "denotations"), read)
        entries = require_list(track.get("relations"), "relations")
        relations += record.read_each(entries, _read_relation, name="relation")

    members = {name for relation in relations for name, _ in relation.nodes}
    annotations = select_annotations([Annotation(span.key, name) for span, name in mentions], members)
    structure = Structure(annotations=annotations, relations=tuple(relations))
    spans = tuple(span for span, _ in mentions)
    return structure.attach(Document(_find_name(fields, record.default_id), text, spans))


def _find_name(record: Mapping[str, Any], default: str) -> str:
    """The id of a document: database, number there, and number of the division, if there are several."""
    if record.get("sourceid") is None:
        return default
    name = require_name(record["sourceid"], "sourceid")
    base = require_name(record["sourcedb"], "sourcedb") + ":" if record.get("sourcedb") is not None else ""
    division = f"-{require_name(record['divid'], 'divid')}" if record.get("divid") is not None else ""
    return f"{base}{name}{division}"


def _collect_attributes(record: Record, track: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Attributes by the id of the denotation that they are about."""
    attributes: dict[str, dict[str, Any]] = {}
    entries = require_list(track.get("attributes"), "attributes")
    for subject, name, value in record.read_each(entries, _read_attribute, name="attribute"):
        attributes.setdefault(subject, {})[name] = value
    return attributes


def _read_attribute(entry: object) -> list[tuple[str, str, str | bool]]:
    fields = require_object(entry, "attribute")
    name, subject = require_string(fields.get("pred"), "pred"), require_name(fields.get("subj"), "subj")
    value = fields.get("obj")
    return [(subject, name, value if isinstance(value, str | bool) else str(value))]


def _read_mention(
    entry: object, *, text: str, corpus: str | None, attributes: Mapping[str, dict[str, Any]]
) -> list[tuple[Span, str]]:
    """Read a denotation and its id."""
    fields = require_object(entry, "denotation")
    name = "" if fields.get("id") is None else require_name(fields["id"], "id")
    if not isinstance(ranges := fields.get("span"), dict | list) or not ranges:
        raise ValueError(f'expected {{"begin": …, "end": …}} as span, found {ranges!r:.60}')
    (span,) = read_spans({"span": ranges, "label": require_string(fields.get("obj"), "obj")}, text)
    return [(replace(span, corpus=corpus, attributes=parse_attributes(attributes.get(name, {}))), name)]


def _read_relation(entry: object) -> list[Relation]:
    fields = require_object(entry, "relation")
    nodes = tuple((require_name(fields.get(role), role), role) for role in ("subj", "obj"))
    name = "" if fields.get("id") is None else require_name(fields["id"], "id")
    return [Relation(name, {"type": require_string(fields.get("pred"), "pred")}, nodes)]
