"""Structure of a source document: its passages, and the identifiers and relations of its annotations.

Spans have no place for these. A reader keeps them under ``meta["structure"]`` as JSON values, so they pass
through tagging and JSON lines, and the writers of PubTator, BioC and brat restore them. Passages carry
infons, as in BioC: ``{"type": "title"}``.

An annotation is found again by its place and label. New spans have no identifier, and a span that was removed
takes its identifier and its relations with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from openmed_ner.text import Document, Span

KEY = "structure"
"""Key of the structure in ``Document.meta``."""
Infons = Mapping[str, Any]
_NAME = re.compile(r"\bT[0-9]+\b")
_YEAR = re.compile(r"\b(?:1[5-9]|20)[0-9]{2}\b", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """A passage, or a sentence of one.

    Attributes:
        offset: first character in the text of the document.
        length: number of characters.
        infons: properties, such as ``type``.
        sentences: sentences that hold the text of a passage; empty if the passage holds it.
    """

    offset: int
    length: int
    infons: Infons = field(default_factory=dict)
    sentences: tuple[Part, ...] = ()

    @property
    def end(self) -> int:
        """One past the last character."""
        return self.offset + self.length

    @property
    def leaves(self) -> tuple[Part, ...]:
        """The parts that hold text."""
        return self.sentences or (self,)

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        sentences = {"sentences": [part.to_json() for part in self.sentences]} if self.sentences else {}
        return {"offset": self.offset, "length": self.length, "infons": dict(self.infons), **sentences}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        sentences = tuple(cls.from_json(part) for part in record.get("sentences", ()))
        return cls(_number(record["offset"]), _number(record["length"]), _infons(record["infons"]), sentences)


@dataclass(frozen=True, slots=True)
class Annotation:
    """Fields of an annotation besides those of a span.

    Attributes:
        key: place and label, as in :attr:`openmed_ner.text.Span.key`.
        id: its name in the document.
        infons: its properties, such as ``identifier``.
    """

    key: tuple[Any, ...]
    id: str
    infons: Infons = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        start, end, label, *fragments = self.key
        pieces = {"fragments": [list(pair) for pair in fragments]} if fragments else {}
        return {
            "id": self.id,
            "start": start,
            "end": end,
            "label": label,
            **pieces,
            "infons": dict(self.infons),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        fragments = [(_number(start), _number(end)) for start, end in record.get("fragments", ())]
        key = (_number(record["start"]), _number(record["end"]), _string(record["label"]), *fragments)
        return cls(key, _string(record["id"]), _infons(record["infons"]))


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of annotations, of other relations or of concepts.

    Attributes:
        id: its name in the document.
        infons: its properties, such as ``type``.
        nodes: names of its members, with their roles.
    """

    id: str
    infons: Infons = field(default_factory=dict)
    nodes: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object."""
        return {"id": self.id, "infons": dict(self.infons), "nodes": [list(node) for node in self.nodes]}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        nodes = tuple((_string(name), _string(role)) for name, role in record["nodes"])
        return cls(_string(record["id"]), _infons(record["infons"]), nodes)


@dataclass(frozen=True, slots=True)
class Structure:
    """The structure of one document.

    Attributes:
        passages: passages in order; the text between them is white space.
        annotations: the annotations, if one of them has an identifier or other infons, or a relation.
        relations: relations.
        infons: properties of the document.
        lines: lines of a file of brat that are not mentions or their attributes.
    """

    passages: tuple[Part, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    relations: tuple[Relation, ...] = ()
    infons: Infons = field(default_factory=dict)
    lines: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Document) -> Self:
        """Return the structure of a document; an empty one if it has none or one of another text."""
        record = document.meta.get(KEY)
        try:
            structure = cls.from_json(record) if isinstance(record, Mapping) else cls()
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            return cls()
        return structure if structure._fits(document.text) else cls()

    def attach(self, document: Document) -> Document:
        """Return a document with this structure in its ``meta``; the same document if it is empty."""
        record = self.to_json()
        meta = {**document.meta, KEY: record} if record else document.meta
        return Document(document.id, document.text, document.spans, meta)

    def to_json(self) -> dict[str, Any]:
        """Convert to a JSON object, without the fields that are empty."""
        record: dict[str, Any] = {
            "passages": [part.to_json() for part in self.passages],
            "annotations": [annotation.to_json() for annotation in self.annotations],
            "relations": [relation.to_json() for relation in self.relations],
            "infons": dict(self.infons),
            "lines": list(self.lines),
        }
        return {name: value for name, value in record.items() if value}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: the object has another shape.
        """
        return cls(
            tuple(Part.from_json(part) for part in record.get("passages", ())),
            tuple(Annotation.from_json(annotation) for annotation in record.get("annotations", ())),
            tuple(Relation.from_json(relation) for relation in record.get("relations", ())),
            _infons(record.get("infons", {})),
            tuple(_string(line) for line in record.get("lines", ())),
        )

    def match(self, spans: Sequence[Span]) -> list[Annotation | None]:
        """Find the annotation of each span; equal spans take equal annotations in order."""
        waiting: dict[tuple[Any, ...], list[Annotation]] = {}
        for annotation in reversed(self.annotations):
            waiting.setdefault(annotation.key, []).append(annotation)
        return [matches.pop() if (matches := waiting.get(span.key)) else None for span in spans]

    def name_spans(self, spans: Sequence[Span]) -> list[str]:
        """Name each span: as its annotation was named, or by a new name such as ``T3``."""
        matches = self.match(spans)
        used = {annotation.id for annotation in self.annotations}
        used.update(name for relation in self.relations for name, _ in relation.nodes)
        used.update(name for line in self.lines for name in _NAME.findall(line))
        names = new_names("T", used, matches.count(None))
        return [annotation.id if annotation else names.pop(0) for annotation in matches]

    def surviving_relations(self, names: Iterable[str]) -> list[Relation]:
        """Return the relations without those that refer to an annotation that was removed.

        Args:
            names: names of the annotations of the document as it is now.
        """
        removed = {annotation.id for annotation in self.annotations} - {*names}
        entries = [(relation.id, {name for name, _ in relation.nodes}) for relation in self.relations]
        return [self.relations[index] for index in surviving(entries, removed)]

    def _fits(self, text: str) -> bool:
        """Return whether the passages are the parts of a text, in order, with white space between them."""
        leaves = [leaf for passage in self.passages for leaf in passage.leaves if leaf.length]
        if not leaves:
            return not (self.passages and text)

        end = 0
        for leaf in leaves:
            if leaf.offset < end or leaf.end > len(text) or text[end : leaf.offset].strip():
                return False
            end = leaf.end
        # Blanks before the first passage follow from its offset.
        return not text[end:].strip() and not text[: leaves[0].offset].strip(" ")


def join_passages(name: str, passages: Mapping[str, str]) -> Document | None:
    """Build a document from passages, by type; ``None`` if all are empty.

    Args:
        name: id of the document.
        passages: text of each passage by its type, such as ``title``; empty ones are left out.
    """
    parts: list[Part] = []
    texts = {kind: text for kind, text in passages.items() if text}
    for kind, text in texts.items():
        parts.append(Part(parts[-1].end + 1 if parts else 0, len(text), {"type": kind}))
    if not parts:
        return None
    return Structure(tuple(parts)).attach(Document(name, " ".join(texts.values())))


def with_year(document: Document, date: str) -> Document:
    """Note the year that a date of publication names, if any, under the key ``year``."""
    match = _YEAR.search(date)
    return replace(document, meta={**document.meta, "year": int(match[0])}) if match else document


def new_names(letter: str, used: Iterable[str], n: int) -> list[str]:
    """Name N spans by a letter and their number, without the names in use."""
    taken, number = {*used}, 0
    names: list[str] = []
    while len(names) < n:
        number += 1
        if (name := f"{letter}{number}") not in taken:
            names.append(name)
    return names


def surviving(entries: Sequence[tuple[str, set[str]]], removed: Iterable[str]) -> Iterator[int]:
    """Yield the positions of entries that refer, directly or through other entries, to nothing removed.

    Args:
        entries: name of each entry, with the names that it refers to.
        removed: names that no longer exist.
    """
    gone, lost = {*removed}, set[int]()
    while True:
        more = {index for index, (_, names) in enumerate(entries) if index not in lost and names & gone}
        if not more:
            break
        lost |= more
        gone |= {entries[index][0] for index in more if entries[index][0]}
    yield from (index for index in range(len(entries)) if index not in lost)


def select_annotations(
    annotations: Sequence[Annotation], members: Collection[str] = ()
) -> tuple[Annotation, ...]:
    """Return the annotations if they say more than spans do, and otherwise none.

    Args:
        annotations: all annotations of a document.
        members: names that relations refer to.
    """
    return tuple(annotations) if any(entry.infons or entry.id in members for entry in annotations) else ()


def check_infons(infons: object) -> dict[str, Any]:
    """Check that infons are an object that JSON and UTF-8 can hold.

    Raises:
        ValueError: they are not.
    """
    if infons is None:
        return {}
    if not isinstance(infons, dict):
        raise ValueError(f"expected an object as infons, found {infons!r:.60}")
    try:
        json.dumps(infons, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise ValueError("infons hold half of a surrogate pair or are nested too deeply") from error
    return infons


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _infons(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise TypeError
    return value
