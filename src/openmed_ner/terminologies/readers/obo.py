"""Read OBO files: the terms of an ontology with synonyms, parents and cross-references.

Obsolete terms, terms without a name and synonyms that are broader than their term are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from openmed_ner.errors import CorpusFormatError
from openmed_ner.terminologies.readers.records import Record, iter_lines, keep_ids, short_id

_TAG = re.compile(r"([\w-]+):\s*(.*)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(\w*)')
_VALUE = re.compile(r"(?:[^\s\\]|\\.)+")
_ESCAPED = re.compile(r"\\(.)")
_BLANKS = {"n": " ", "t": " ", "W": " "}
_KEPT = ("id", "name", "synonym", "is_a", "xref", "is_obsolete")
Stanza = dict[str, list[str]]


def read_obo(path: Path) -> Iterator[Record]:
    """Yield the terms of a file.

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: a line is no tag with a value, or a synonym is not quoted.
    """
    stanza: Stanza | None = None
    start = number = 0
    for number, line in iter_lines(path):
        text = line.strip()
        if not text or text.startswith("!"):
            continue
        if text.startswith("["):
            yield from _finish(stanza, start)
            stanza, start = ({} if text.startswith("[Term]") else None), number
            continue
        tag = _TAG.match(text)
        if tag is None:
            raise CorpusFormatError(f"{path}, line {number}: expected 'tag: value', found {text!r:.80}")
        if stanza is not None and tag[1] in _KEPT:
            stanza.setdefault(tag[1], []).append(_read_value(tag[1], tag[2], f"{path}, line {number}"))
    yield from _finish(stanza, start)


def _read_value(tag: str, text: str, place: str) -> str:
    """Text of a value, without comments and modifiers; empty for a synonym that is broader than its term."""
    if tag == "name":
        return _unescape(text.partition(" ! ")[0])
    if tag == "synonym":
        quoted = _QUOTED.match(text)
        if quoted is None:
            raise CorpusFormatError(f"{place}: expected a synonym in quotation marks, found {text!r:.80}")
        return "" if quoted[2] == "BROAD" else _unescape(quoted[1])
    value = _VALUE.match(text)
    return _unescape(value[0]) if value else ""


def _finish(stanza: Stanza | None, line: int) -> Iterator[Record]:
    if stanza is None or "name" not in stanza or "true" in stanza.get("is_obsolete", ()):
        return
    yield Record(
        f"line {line}",
        short_id(stanza.get("id", [""])[0]),
        stanza["name"][0],
        tuple(filter(None, stanza.get("synonym", ()))),
        keep_ids(stanza.get("is_a", ())),
        keep_ids(stanza.get("xref", ())),
    )


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: _BLANKS.get(match[1], match[1]), text)
