"""Annotations of other tools in JSON lines, as the entries of our ``spans``.

====================  ======================================================================================
doccano               ``"label": [[0, 7, "Chemical"]]``, also under ``labels``
doccano               ``"entities": [{"start_offset": 0, "end_offset": 7, "label": "Chemical"}]``
spaCy                 ``"entities": [[0, 7, "Chemical"]]``
PubAnnotation         ``"denotations": [{"span": {"begin": 0, "end": 7}, "obj": "Chemical"}]``
====================  ======================================================================================

Other values under these keys, such as the classes of a text, are no annotations of mentions, and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

KEYS = ("label", "labels", "entities", "annotations", "denotations")
"""Keys under which other tools keep annotations."""
_STARTS = ("start", "start_offset", "begin")
_ENDS = ("end", "end_offset")
_LABELS = ("label", "obj", "type", "tag")


def find_annotations(fields: Mapping[str, Any]) -> str | None:
    """Return the key of a decoded line that holds annotations of another tool; ``None`` if there are none.

    Raises:
        ValueError: several keys do.
    """
    found = [key for key in KEYS if _holds_spans(fields.get(key))]
    if len(found) > 1:
        raise ValueError(f"annotations under {found[0]!r} and under {found[1]!r}; keep one of them")
    return found[0] if found else None


def to_spans(entry: object) -> list[dict[str, Any]]:
    """Return the entries of ``spans`` for an annotation of another tool; one for each of its labels.

    Raises:
        ValueError: the annotation has none of the known shapes.
    """
    if isinstance(entry, list):
        if len(entry) < 3:
            raise ValueError(f"expected [start, end, label], found {entry!r:.80}")
        return [{"start": entry[0], "end": entry[1], "label": entry[2]}]
    if not isinstance(entry, Mapping):
        raise ValueError(f"expected an object or a list as annotation, found {entry!r:.80}")

    places = entry.get("span", entry)
    pieces = [_to_edges(piece) for piece in (places if isinstance(places, list) else [places])]
    labels = entry.get("labels")
    if not isinstance(labels, list):
        labels = [next((entry[name] for name in _LABELS if entry.get(name) is not None), None)]
    shared = {name: entry[name] for name in ("text", "score") if entry.get(name) is not None}
    if len(pieces) > 1:
        shared["fragments"] = [list(piece) for piece in pieces]
    return [{"start": pieces[0][0], "end": pieces[-1][1], "label": label, **shared} for label in labels]


def _holds_spans(value: object) -> bool:
    """Return whether a value is a list whose first entry has offsets."""
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    if isinstance(first, list):
        return len(first) > 1
    return isinstance(first, dict) and ("span" in first or any(name in first for name in _STARTS))


def _to_edges(place: object) -> tuple[Any, Any]:
    if not isinstance(place, Mapping):
        raise ValueError(f"expected an object with offsets, found {place!r:.80}")
    start, end = (next((place[name] for name in names if name in place), None) for names in (_STARTS, _ENDS))
    return start, end
