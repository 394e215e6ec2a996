"""Normalisations of brat: lines with the identifier of a mention's concept.

``N1\\tReference T1 MESH:D006509\\thepatitis B`` says that the concept of T1 is MESH:D006509, which is called
hepatitis B. A mention of several concepts has several lines. An identifier without a prefix has no place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat

from openmed_ner.formats.structure import Structure, new_names
from openmed_ner.text import Document

_IDENTIFIER = "identifier"
_SEPARATOR = "|"
_LINE = re.compile(r"N\S+\tReference (T\S+) ([^\s:]+:\S+)(?:\t(.*))?", re.DOTALL)
_VALUE = re.compile(r"[^\s:]+:\S+")


def read_normalisations(lines: Iterable[str]) -> dict[str, dict[str, str]]:
    """Read the identifiers of mentions, as infons by the name of the mention; several are joined by ``|``."""
    identifiers: dict[str, dict[str, None]] = {}
    for match in filter(None, map(_LINE.fullmatch, lines)):
        identifiers.setdefault(match[1], {})[match[2]] = None
    return {name: {_IDENTIFIER: _SEPARATOR.join(values)} for name, values in identifiers.items()}


def renew_normalisations(document: Document, names: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Bring the lines of a document up to date: new identifiers first, without those that were replaced.

    The identifier of a span counts, and that of its source if it has none.

    Args:
        document: the document.
        names: name of each span.
        lines: lines of the source.
    """
    annotations = Structure.of(document).match(document.spans)
    present = {(match[1], match[2]) for match in map(_LINE.fullmatch, lines) if match}
    entries: dict[tuple[str, str], str] = {}
    linked = set()
    for span, name, annotation in zip(document.spans, names, annotations, strict=True):
        attributes = dict(span.attributes)
        infons: Mapping[str, object] = annotation.infons if annotation else {}
        if identifier := attributes.get(_IDENTIFIER):
            linked.add(name)
        values = str(identifier or infons.get(_IDENTIFIER) or "").split(_SEPARATOR)
        titles = str(attributes.get("preferred_name") or "").split(_SEPARATOR)
        for value, title in zip(values, chain(titles, repeat("")), strict=False):
            if _VALUE.fullmatch(value):
                entries.setdefault((name, value), " ".join(title.split()))

    def is_current(line: str) -> bool:
        match = _LINE.fullmatch(line)
        return match is None or match[1] not in linked or (match[1], match[2]) in entries

    added = [place for place in entries if place not in present]
    numbers = new_names("N", {line.split("\t")[0] for line in lines}, len(added))
    return [
        *(
            f"{number}\tReference {name} {identifier}\t{entries[name, identifier]}"
            for number, (name, identifier) in zip(numbers, added, strict=True)
        ),
        *filter(is_current, lines),
    ]
