"""Spans in JSON: the entries of our ``spans``, and the annotations of other tools.

====================  ======================================================================================
doccano               ``"label": [[0, 7, "Chemical"]]``, also under ``labels``
doccano               ``"entities": [{"start_offset": 0, "end_offset": 7, "label": "Chemical"}]``
spaCy                 ``"entities": [[0, 7, "Chemical"]]``
PubAnnotation         ``"denotations": [{"span": {"begin": 0, "end": 7}, "obj": "Chemical"}]``
pipelines             ``"entities": [{"entity_group": "Chemical", "start": 0, "end": 7}]``
others                ``"ents": [{"offset": 0, "length": 7, "category": "Chemical"}]``, and more names,
                      such as ``tags`` and ``BeginOffset``
====================  ======================================================================================

Other values under these keys, such as the classes of a text, are no annotations of mentions, and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openmed_ner.formats.attributes import parse_attributes, parse_evidence
from openmed_ner.formats.json_values import require_string
from openmed_ner.formats.structure import KEY as STRUCTURE
from openmed_ner.formats.tolerance import check_mention, require_characters
from openmed_ner.text import Span

KEYS = ("label", "labels", "entities", "annotations", "denotations")
"""Keys under which other tools keep annotations."""
RARE_KEYS = ("ents", "mentions", "ner", "annotation", "tags")
"""Keys that hold annotations if none of ``KEYS`` does."""
_NO_MENTIONS = ("tokens", "words", "sentences", "sents")
"""Keys of other parts of a text, which have offsets, too."""
_OURS = (STRUCTURE,)
"""Keys of what we write beside the spans of a document."""
_MAX_DEPTH = 4
"""Levels of objects and lists that are searched for mentions."""
_MAX_ENTRIES = 100
"""Entries of a list that are searched."""
_STARTS = ("start", "startoffset", "begin", "beginoffset", "startchar", "offset")
_ENDS = ("end", "endoffset", "endchar")
_INCLUSIVE = ("points", "startindex", "startpos", "charstart", "beginindex")
"""Names of places that may end at their last character. They are refused, not passed over."""
_LABELS = ("label", "obj", "type", "tag", "entitygroup", "entitytype", "category", "entity", "tagname")


def find_annotations(fields: Mapping[str, Any]) -> str | None:
    """Return the key of a decoded line that holds annotations of another tool; ``None`` if there are none.

    Raises:
        ValueError: several keys do.
    """
    keys = [key for key in KEYS if _holds_spans(fields.get(key))]
    keys = keys or [key for key in RARE_KEYS if _holds_spans(fields.get(key))]
    if len(keys) > 1:
        raise ValueError(f"annotations under {keys[0]!r} and under {keys[1]!r}; keep one of them")
    return keys[0] if keys else None


def find_unread(fields: Mapping[str, Any]) -> list[str]:
    """Return the keys of a decoded line that hold what looks like mentions, and that nobody reads.

    Objects and lists inside are searched, too: ``meta.spans`` is the key ``spans`` of the object ``meta``.
    """
    return [
        key
        for name, value in fields.items()
        if name not in (*_NO_MENTIONS, *_OURS)
        for key in _find_lists(value, name, 0)
    ]


def _find_lists(value: object, name: str, depth: int) -> list[str]:
    """Return the dotted keys of the lists of mentions within a value."""
    if isinstance(value, list) and value and all(map(_has_edges, value)):
        return [name]
    if depth == _MAX_DEPTH:
        return []
    if isinstance(value, list):
        found = [key for entry in value[:_MAX_ENTRIES] for key in _find_lists(entry, name, depth + 1)]
    elif isinstance(value, Mapping):
        inner = [(key, entry) for key, entry in value.items() if key not in _NO_MENTIONS]
        found = [path for key, entry in inner for path in _find_lists(entry, f"{name}.{key}", depth + 1)]
    else:
        return []
    return list(dict.fromkeys(found))


def _has_edges(value: object) -> bool:
    if isinstance(value, Mapping):
        start, end = _to_edges(value)
        return type(start) is int and type(end) is int
    return isinstance(value, list) and [type(part) for part in value[:3]] == [int, int, str]


def read_spans(entry: object, text: str) -> list[Span]:
    """Build the spans of an annotation of another tool; one for each of its labels.

    Raises:
        ValueError: the annotation has none of the known shapes, or does not fit the text.
    """
    return [read_span(part, text) for part in _to_parts(entry)]


def read_span(record: object, text: str) -> Span:
    """Build a span from an entry of our ``spans``.

    Raises:
        ValueError: a value is missing or has the wrong type, or the span does not fit the text.
    """
    if not isinstance(record, Mapping):
        raise ValueError(f"expected a JSON object as span, found {type(record).__name__}")

    start, end, label = record.get("start"), record.get("end"), record.get("label")
    score, corpus = record.get("score"), record.get("corpus")
    if type(start) is not int or type(end) is not int:
        raise ValueError(
            f'a span needs whole numbers as "start" and "end", found {start!r:.60} and {end!r:.60}'
        )
    if not isinstance(label, str) or not isinstance(corpus, str | None):
        raise ValueError(
            f'a span needs strings as "label" and "corpus", found {label!r:.60} and {corpus!r:.60}'
        )
    require_characters(label, "label")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise ValueError(f'a span needs a number as "score", found {score!r:.60}')

    fragments = _fragments_from_json(record.get("fragments", []))
    attributes = parse_attributes(record.get("attributes", {}))
    evidence = parse_evidence(record.get("evidence"))
    span = Span(start, end, label, score, corpus, fragments, attributes, evidence)
    if end > len(text):
        raise ValueError(f"span {start}..{end} ends beyond the text of {len(text)} characters")

    mention = record.get("text")
    if mention is not None:
        check_mention(text, span, require_string(mention, "text of a span"), subject="the span")
    return span


def _fragments_from_json(value: object) -> tuple[tuple[int, int], ...]:
    are_pairs = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(edge) is int for edge in pair)
        for pair in value
    )
    if not isinstance(value, list) or not are_pairs:
        raise ValueError(f'a span needs a list of [start, end] pairs as "fragments", found {value!r:.60}')
    return tuple((start, end) for start, end in value)


def _to_parts(entry: object) -> list[dict[str, Any]]:
    """Return the entries of ``spans`` for an annotation of another tool."""
    if isinstance(entry, list):
        if len(entry) < 3:
            raise ValueError(f"expected [start, end, label], found {entry!r:.80}")
        return [{"start": entry[0], "end": entry[1], "label": _to_label(entry[2])}]
    if not isinstance(entry, Mapping):
        raise ValueError(f"expected an object or a list as annotation, found {entry!r:.80}")

    entry = _fold(entry)
    places = entry.get("span", entry)
    pieces = _join([_to_edges(piece) for piece in (places if isinstance(places, list) else [places])])
    labels = entry.get("labels")
    if not isinstance(labels, list):
        labels = [next((entry[name] for name in _LABELS if entry.get(name) is not None), None)]
    shared = {name: entry[name] for name in ("text", "score") if entry.get(name) is not None}
    if len(pieces) > 1:
        shared["fragments"] = [list(piece) for piece in pieces]
    edges = {"start": pieces[0][0], "end": pieces[-1][1]}
    return [{**edges, "label": _to_label(label), **shared} for label in labels]


def _to_label(value: object) -> object:
    """Labels of doccano may be numbers."""
    return str(value) if type(value) is int else value


def _holds_spans(value: object) -> bool:
    """Return whether a value is a list whose first entry has offsets."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    if isinstance(first, list):
        return len(first) > 1
    return isinstance(first, dict) and not _fold(first).keys().isdisjoint(("span", *_INCLUSIVE, *_STARTS))


def _join(pieces: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Put the pieces of a mention in order, and join those that touch."""
    if not all(type(edge) is int for piece in pieces for edge in piece):
        return pieces  # refused later, with its offsets
    joined: list[tuple[int, int]] = []
    for start, end in sorted(pieces):
        first = joined.pop()[0] if joined and joined[-1][1] == start else start
        joined.append((first, end))
    return joined


def _to_edges(place: object) -> tuple[Any, Any]:
    if not isinstance(place, Mapping):
        raise ValueError(f"expected an object with offsets, found {place!r:.80}")
    place = _fold(place)
    start, end = (next((place[name] for name in names if name in place), None) for names in (_STARTS, _ENDS))
    if end is None and type(start) is int and type(place.get("length")) is int:
        end = start + place["length"]
    return start, end


def _fold(place: Mapping[str, Any]) -> dict[str, Any]:
    """Write keys alike: ``start_offset``, ``startOffset`` and ``StartOffset`` are one name."""
    return {name.replace("_", "").lower(): value for name, value in place.items()}
