"""UIMA CAS in XMI, as INCEpTION, cTAKES and DKPro write it: one text with annotations as XML elements.

Entities are elements named ``NamedEntity`` and those of custom layers. The label is the feature ``value``,
``label`` or ``type``, or else the name of the element. Other annotations (tokens, sentences, relations) are
ignored. Offsets in the file are UTF-16 code units.

The file does not say what its types mean; that is in a separate type system, which is not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from openmed_ner.errors import AnnotationError, CorpusFormatError
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


def read_xmi(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the document of a file, named after its source.

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

    text = texts[0]
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
    yield structure.attach(Document(source, text, tuple(spans)))


def _is_entity(element: Element) -> bool:
    """Return whether an element is an annotation of an entity: a relation has a governor, too."""
    tag = str(element.tag)
    known = tag.rpartition("}")[2] == _NAMED_ENTITY or tag.startswith(_CUSTOM)
    return known and "begin" in element.attrib and "Governor" not in element.attrib


def _read_span(element: Element, units: CodeUnits) -> Span:
    edges = element.get("begin", ""), element.get("end", "")
    if not all(edge.isascii() and edge.isdigit() and len(edge) < 16 for edge in edges):
        raise ValueError(f"expected numbers as begin and end, found {edges}")
    name = str(element.tag).rpartition("}")[2]
    label = next(filter(None, (element.get(feature) for feature in _LABELS)), name)
    return Span(units.to_characters(int(edges[0])), units.to_characters(int(edges[1])), label)
