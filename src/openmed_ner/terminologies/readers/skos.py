"""Read SKOS vocabularies: concepts with labels, broader concepts and exact matches.

RDF/XML and N-Triples are read, one statement at a time. Statements about a concept may stand anywhere in a
file, so all concepts are held until its end. Deprecated concepts are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.xml import check_place, explain, forget, make_parser
from openmed_ner.terminologies.readers.records import Record, iter_lines, keep_ids, short_id

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SKOS = "http://www.w3.org/2004/02/skos/core#"
_DEPRECATED = "http://www.w3.org/2002/07/owl#deprecated"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_IRI = r"<([^<>\s]*)>"
_TRIPLE = re.compile(
    rf'\s*(?:{_IRI}|_:\S+)\s+{_IRI}\s+(?:{_IRI}|_:\S+|"((?:[^"\\]|\\.)*)"(?:@([\w-]+)|\^\^{_IRI})?)\s*\.\s*(?:#.*)?'
)
_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_SIGNS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LAST = 0x10FFFF


class Statement(NamedTuple):
    """A statement about a concept.

    Attributes:
        line: line of the file.
        subject: address of the concept.
        predicate: address of the property.
        value: address of another concept, or a text.
        language: language of a text; empty if it has none.
    """

    line: int
    subject: str
    predicate: str
    value: str
    language: str


@dataclass(slots=True)
class _Node:
    line: int
    is_concept: bool = False
    is_deprecated: bool = False
    preferred: list[tuple[str, str]] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)
    xrefs: list[str] = field(default_factory=list)


def read_n_triples(path: Path, languages: Sequence[str] = ()) -> Iterator[Record]:
    """Yield the concepts of a file of N-Triples.

    Args:
        path: the file.
        languages: languages of names, such as ``en``, the preferred one first; names without a language count
            as well. All languages if empty, English preferred.

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: a line is no triple.
    """
    return _collect(_iter_triples(path), languages)


def read_rdf_xml(path: Path, languages: Sequence[str] = ()) -> Iterator[Record]:
    """Yield the concepts of a file of RDF/XML, as :func:`read_n_triples` does.

    Raises:
        InputError: it cannot be opened.
        CorpusFormatError: it is not well-formed, declares entities, or has a concept within another element.
    """
    return _collect(_iter_elements(path), languages)


def _iter_triples(path: Path) -> Iterator[Statement]:
    for number, line in iter_lines(path):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        triple = _TRIPLE.fullmatch(line)
        if triple is None:
            raise CorpusFormatError(f"{path}, line {number}: expected a triple, found {line!r:.80}")
        subject, predicate, resource, text, language, _ = triple.groups()
        if subject and (resource is not None or text is not None):
            value = resource if resource is not None else _unescape(text)
            yield Statement(number, subject, predicate, value, language or "")


def _unescape(text: str) -> str:
    def decode(match: re.Match[str]) -> str:
        code = int(match[1] or match[2] or "0", 16)
        if match[3]:
            return _SIGNS.get(match[3], match[3])
        return chr(code) if code <= _LAST and not 0xD800 <= code < 0xE000 else "\ufffd"

    return _ESCAPED.sub(decode, text)


def _iter_elements(path: Path) -> Iterator[Statement]:
    from lxml import etree

    parser = make_parser((f"{{{RDF}}}RDF", f"{{{RDF}}}Description", f"{{{SKOS}}}Concept"))
    root = f"{{{RDF}}}RDF"
    number = 1
    try:
        for number, line in iter_lines(path):  # noqa: B007 (for the error)
            parser.feed(f"{line}\n".encode())
            for event, element in parser.read_events():
                if event == "start":
                    check_place(element, str(path), root=root, records="concepts")
                elif element.tag != root:
                    yield from _read_element(element)
                    forget(element)
        parser.close()
    except etree.XMLSyntaxError as error:
        raise explain(error, str(path), line=number) from error


def _read_element(element: Element) -> Iterator[Statement]:
    line, subject = element.sourceline or 0, element.get(f"{{{RDF}}}about", "")
    if element.tag == f"{{{SKOS}}}Concept":
        yield Statement(line, subject, f"{RDF}type", f"{SKOS}Concept", "")
    inherited = element.get(_LANGUAGE, "")
    for child in element:
        if isinstance(child.tag, str):
            value = child.get(f"{{{RDF}}}resource") or child.text or ""
            predicate = child.tag.removeprefix("{").replace("}", "", 1)
            yield Statement(
                child.sourceline or line, subject, predicate, value, child.get(_LANGUAGE, inherited)
            )


def _collect(statements: Iterator[Statement], languages: Sequence[str]) -> Iterator[Record]:
    nodes: dict[str, _Node] = {}
    for line, subject, predicate, value, language in statements:
        node = nodes.setdefault(subject, _Node(line))
        if predicate == f"{RDF}type":
            node.is_concept = node.is_concept or value == f"{SKOS}Concept"
        elif predicate == _DEPRECATED:
            node.is_deprecated = value in ("true", "1")
        elif predicate == f"{SKOS}prefLabel":
            node.preferred.append((language.lower(), value))
        elif predicate in (f"{SKOS}altLabel", f"{SKOS}hiddenLabel"):
            node.labels.append((language.lower(), value))
        elif predicate == f"{SKOS}broader":
            node.parents.append(value)
        elif predicate == f"{SKOS}narrower":
            nodes.setdefault(value, _Node(line)).parents.append(subject)
        elif predicate == f"{SKOS}exactMatch":
            node.xrefs.append(value)

    order = [*(language.lower() for language in languages or ("en",)), ""]
    for subject, node in nodes.items():
        names = [*node.preferred, *node.labels]
        if languages:
            names = [pair for pair in names if _rank(pair[0], order) < len(order)]
        if node.is_concept and not node.is_deprecated and names:
            # Labels of all kinds in the order of languages, the preferred ones of each before the others.
            names.sort(key=lambda pair: _rank(pair[0], order))
            yield Record(
                f"line {node.line}",
                short_id(subject),
                names[0][1],
                tuple(name for _, name in names),
                keep_ids(node.parents),
                keep_ids(node.xrefs),
            )


def _rank(language: str, order: Sequence[str]) -> int:
    """Place of a language, or of the one that it is a variety of ("en-GB"), among those asked for."""
    main = language.partition("-")[0]
    return next((place for place, other in enumerate(order) if other in (language, main)), len(order))
