"""UIMA CAS in XMI, as INCEpTION, cTAKES and DKPro write it: one text with annotations as XML elements.

Entities are elements named ``NamedEntity`` and those of custom layers. The label is the feature ``value``,
``label`` or ``type``, or else the name of the element. Other annotations (tokens, sentences, relations) are
ignored. Offsets in the file are UTF-16 code units.

The file does not say what its types mean; that is in a separate type system, which is not read.

A file is written per document, with a ``NamedEntity`` of DKPro's type system for each span, and without words
or sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.files import strip_gz
from openmed_ner.formats.folders import FileLayout, write_files
from openmed_ner.formats.structure import Annotation, Structure, select_annotations
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.formats.utf16 import CodeUnits
from openmed_ner.formats.xml import parse_tree
from openmed_ner.text import Document, Span

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_ROOT = "{http://www.omg.org/XMI}XMI"
_SOFA = "{http:///uima/cas.ecore}Sofa"
_CUSTOM = "{http:///webanno/custom.ecore}"
_NAMED_ENTITY = "NamedEntity"
_LABELS = ("value", "label", "type")
_SUFFIX = ".xmi"
_OPENING = """<?xml version="1.0" encoding="UTF-8"?>
<xmi:XMI xmlns:xmi="http://www.omg.org/XMI" xmlns:cas="http:///uima/cas.ecore"
    xmlns:ner="http:///de/tudarmstadt/ukp/dkpro/core/api/ner/type.ecore" xmi:version="2.0">
  <cas:NULL xmi:id="0"/>
"""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""A character that XML 1.0 has no place for."""


def read_xmi(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the document of a file, named after the file.

    Raises:
        CorpusFormatError: the file is not well-formed, declares entities, is not XMI, or has no text or
            several.
        AnnotationError: an annotation does not fit the text; with ``on_bad`` it is left out.
    """
    root = parse_tree(file.read(), source)
    if root.tag != _ROOT:
        raise CorpusFormatError(f"{source}, line {root.sourceline}: expected <xmi:XMI>, found <{root.tag}>")
    texts = [element.get("sofaString") for element in root.iter(_SOFA)]
    texts = [text for text in texts if text is not None]
    if len(texts) != 1:
        raise CorpusFormatError(f"{source}: expected one <cas:Sofa> with a sofaString, found {len(texts)}")

    text, name = texts[0], unquote(strip_gz(source).removesuffix(_SUFFIX))
    units = CodeUnits(text)
    spans, annotations = [], []
    for element in root:
        if not _is_entity(element):
            continue
        try:
            spans.append(_read_span(element, units))
        except ValueError as error:
            on_bad(AnnotationError(f"{source}, line {element.sourceline}: {error}"))
            continue
        identifier = element.get("identifier")
        infons = {"identifier": identifier} if identifier else {}
        annotations.append(Annotation(spans[-1].key, f"T{len(spans)}", infons))
    structure = Structure(annotations=select_annotations(annotations))
    yield structure.attach(Document(name, text, tuple(spans)))


def write_xmi(documents: Iterable[Document], folder: Path, *, on_bad: OnBad = fail) -> None:
    """Write a file per document into a folder; the percent-encoded id is its name.

    Scores, corpora and attributes are dropped; the identifiers of a structure are written.

    Raises:
        InputError: the folder or a file cannot be written, or a file exists.
        UnrepresentableError: a document has a duplicate or overlong id, a discontinuous span, or a character
            that XML cannot hold.
    """
    write_files(documents, folder, FileLayout("UIMA XMI", _SUFFIX, _lines, _refusal), on_bad)


def _lines(document: Document) -> Iterator[str]:
    units = CodeUnits(document.text).to_units
    yield _OPENING
    numbers = range(2, 2 + len(document.spans))
    matches = Structure.of(document).match(document.spans)
    for number, span, annotation in zip(numbers, document.spans, matches, strict=True):
        identifier = annotation.infons.get("identifier") if annotation else None
        concept = f" identifier={_quote(identifier)}" if isinstance(identifier, str) and identifier else ""
        yield (
            f'  <ner:NamedEntity xmi:id="{number}" sofa="1" begin="{units(span.start)}" '
            f'end="{units(span.end)}" value={_quote(span.label)}{concept}/>\n'
        )
    yield (
        '  <cas:Sofa xmi:id="1" sofaNum="1" sofaID="_InitialView" mimeType="text/plain" '
        f"sofaString={_quote(document.text)}/>\n"
    )
    yield f'  <cas:View sofa="1" members="{" ".join(map(str, numbers))}"/>\n</xmi:XMI>\n'


def _quote(value: str) -> str:
    """Write the value of an attribute; bare line ends and tabs would be read as blanks."""
    return quoteattr(value, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _refusal(document: Document) -> str | None:
    """Return the reason why a document cannot be written; ``None`` if it can."""
    annotations = Structure.of(document).annotations
    identifiers = [str(annotation.infons.get("identifier", "")) for annotation in annotations]
    strings = (document.text, *(span.label for span in document.spans), *identifiers)
    if match := next(filter(None, map(_NOT_XML.search, strings)), None):
        return f"the character {match[0]!r}"
    return None


def _is_entity(element: Element) -> bool:
    """Return whether an element is an annotation of an entity: a relation has a governor, too."""
    tag = str(element.tag)
    has_type = tag.rpartition("}")[2] == _NAMED_ENTITY or tag.startswith(_CUSTOM)
    return has_type and "begin" in element.attrib and "Governor" not in element.attrib


def _read_span(element: Element, units: CodeUnits) -> Span:
    edges = element.get("begin", ""), element.get("end", "")
    if not all(edge.isascii() and edge.isdigit() and len(edge) < 16 for edge in edges):
        raise ValueError(f"expected numbers as begin and end, found {edges}")
    name = str(element.tag).rpartition("}")[2]
    label = next(filter(None, (element.get(feature) for feature in _LABELS)), name)
    return Span(units.to_characters(int(edges[0])), units.to_characters(int(edges[1])), label)
