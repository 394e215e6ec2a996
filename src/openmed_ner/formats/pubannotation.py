"""PubAnnotation: JSON with ``text`` and ``denotations``, one object, a list of them or one per line.

``{"span": {"begin": 0, "end": 7}, "obj": "Chemical"}`` is a mention; several ranges in a list make it
discontinuous. Attributes of mentions are read, relations are kept in the structure of the document. With
``tracks``, as PubAnnotation gives several projects, the project becomes the corpus of a span.

Format: https://www.pubannotation.org/docs/annotation-format/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from openmed_ner.formats.attributes import parse_attributes
from openmed_ner.formats.json_values import (
    read_records,
    require_list,
    require_name,
    require_object,
    require_offset,
    require_string,
)
from openmed_ner.formats.structure import Annotation, Relation, Structure, select_annotations
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document, Span


def read_pubannotation(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield one document per object; a bad one goes to ``on_bad``.

    Raises:
        CorpusFormatError: the file is not JSON, an object has neither text nor denotations, or a mention
            does not fit the text.
    """
    return read_records(file, source, on_bad, name="document", read=_read_record)


def _read_record(record: Mapping[str, Any], default_id: str) -> Document:
    text = require_string(record.get("text"), "text")
    if "denotations" not in record and "tracks" not in record:
        raise ValueError('expected a list under "denotations" or "tracks"')

    tracks = [require_object(track, "track") for track in require_list(record.get("tracks"), "tracks")]
    spans: list[Span] = []
    annotations: list[Annotation] = []
    relations: list[Relation] = []
    for track in [record, *tracks]:
        corpus = None if track is record else require_string(track.get("project"), "project")
        attributes = _read_attributes(track)
        for denotation in require_list(track.get("denotations"), "denotations"):
            fields = require_object(denotation, "denotation")
            name = require_name(fields.get("id", ""), "id")
            spans.append(_read_span(fields, corpus, attributes.get(name, {})))
            annotations.append(Annotation(spans[-1].key, name))
        relations += map(_read_relation, require_list(track.get("relations"), "relations"))

    members = {name for relation in relations for name, _ in relation.nodes}
    kept = select_annotations(annotations, members)
    structure = Structure(annotations=kept, relations=tuple(relations))
    return structure.attach(Document(_find_name(record, default_id), text, tuple(spans)))


def _find_name(record: Mapping[str, Any], default: str) -> str:
    """The id of a document: database, number there, and number of the division, if there are several."""
    if record.get("sourceid") is None:
        return default
    name = require_name(record["sourceid"], "sourceid")
    base = require_name(record["sourcedb"], "sourcedb") + ":" if record.get("sourcedb") is not None else ""
    division = f"-{require_name(record['divid'], 'divid')}" if record.get("divid") is not None else ""
    return f"{base}{name}{division}"


def _read_attributes(track: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Attributes by the id of the denotation that they are about."""
    attributes: dict[str, dict[str, Any]] = {}
    for entry in require_list(track.get("attributes"), "attributes"):
        fields = require_object(entry, "attribute")
        name, subject = require_string(fields.get("pred"), "pred"), require_name(fields.get("subj"), "subj")
        value = fields.get("obj")
        attributes.setdefault(subject, {})[name] = value if isinstance(value, str | bool) else str(value)
    return attributes


def _read_span(fields: Mapping[str, Any], corpus: str | None, attributes: dict[str, Any]) -> Span:
    ranges = fields.get("span")
    fragments = [
        (require_offset(entry.get("begin"), "begin"), require_offset(entry.get("end"), "end"))
        for entry in (
            require_object(entry, "span") for entry in (ranges if isinstance(ranges, list) else [ranges])
        )
    ]
    if not fragments:
        raise ValueError('expected {"begin": …, "end": …} as span, found an empty list')
    start, end = fragments[0][0], fragments[-1][1]
    label = require_string(fields.get("obj"), "obj")
    inner = tuple(fragments) if len(fragments) > 1 else ()
    return Span(start, end, label, None, corpus, inner, parse_attributes(attributes))


def _read_relation(entry: object) -> Relation:
    fields = require_object(entry, "relation")
    nodes = tuple((require_name(fields.get(role), role), role) for role in ("subj", "obj"))
    name = require_name(fields.get("id", ""), "id")
    return Relation(name, {"type": require_string(fields.get("pred"), "pred")}, nodes)
