"""Untrusted BioC in XML, parsed and checked before the ``bioc`` library sees it.

A first parser reads a collection document by document, without entities, DTD or network. It checks the shape
of each document and records line numbers. The library, whose parsers take no such care, sees only documents
that passed, so every document is parsed twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TextIO

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.bioc_document import LINE
from openmed_ner.formats.files import MAX_PENDING
from openmed_ner.formats.tolerance import OnBad
from openmed_ner.formats.xml_records import Record, RecordLayout, iter_records

if TYPE_CHECKING:
    from bioc import BioCDocument
    from lxml.etree import _Element as Element

_CHUNK = 1 << 16
_LAYOUT = RecordLayout("collection", ("document",), "documents", limit=MAX_PENDING)
_CHILDREN = {
    "collection": {"source", "date", "key", "infon", "document"},
    "document": {"id", "infon", "passage", "annotation", "relation"},
    "passage": {"infon", "offset", "text", "sentence", "annotation", "relation"},
    "sentence": {"infon", "offset", "text", "annotation", "relation"},
    "annotation": {"infon", "location", "text"},
    "relation": {"infon", "node"},
}
"""Children that an element may have; any other element holds characters only."""
_ONCE = {"document": ("id",), "passage": ("offset",), "sentence": ("offset",), "annotation": ("text",)}
_ATTRIBUTES = {"infon": ("key",), "location": ("offset", "length")}
_NUMBER = re.compile("[0-9]{1,18}")


def iter_documents(file: TextIO, source: str, on_bad: OnBad) -> Iterator[Record]:
    """Yield each ``document`` as soon as it is complete, and free it afterwards.

    A document that is not well-formed goes to ``on_bad``, and so does what a collection must not hold.

    Raises:
        CorpusFormatError: the file is damaged before its first document, declares entities, or is not a
            collection.
    """
    for record in iter_records(_iter_chunks(file), _LAYOUT, source, on_bad):
        if record.element.tag == _LAYOUT.root:
            _check_children(record.element, record, on_bad)
            continue
        yield record
        # What precedes this document in the collection is freed below, so it is checked now.
        _check_children(record.element.itersiblings(preceding=True), record, on_bad)


def _iter_chunks(file: TextIO) -> Iterator[bytes]:
    chunk = file.read(_CHUNK).removeprefix("\ufeff")
    while chunk:
        # A lone surrogate must reach the parser, which refuses it and names its line.
        yield chunk.encode(errors="surrogatepass")
        chunk = file.read(_CHUNK)


def _check_children(children: Iterable[Element], record: Record, on_bad: OnBad) -> None:
    """Report children that a collection must not have."""
    for child in children:
        try:
            _check_child("collection", child, record)
        except CorpusFormatError as error:
            on_bad(error)


def decode_record(record: Record) -> BioCDocument:
    """Let the library decode a document; its parts carry :data:`LINE`.

    Raises:
        CorpusFormatError: the document does not have the shape that BioC prescribes.
    """
    from bioc.biocxml.decoder import BioCXMLDecoder
    from lxml import etree

    element = record.element
    _prepare(record)
    xml = etree.tostring(element, encoding="unicode", with_tail=False)
    element.clear(keep_tail=True)  # the library builds a tree of its own
    (document,) = BioCXMLDecoder().decodes(f"<collection>{xml}</collection>").documents
    return document


def _prepare(record: Record) -> None:
    """Check everything that the library would fail on or read in part, and add lines."""
    from lxml import etree

    document = record.element
    for element in document.iter():
        _check_shape(element, record)
    # BioC allows annotations and nodes without these attributes; the library fails on them.
    for element in document.iter("annotation"):
        element.set("id", element.get("id", ""))
    for element in document.iter("node"):
        for name in ("refid", "role"):
            element.set(name, element.get(name, ""))
    # An empty infon is an empty string, as in JSON.
    for element in document.iter("infon"):
        element.text = element.text or ""
    for element in [*document.iter("document", "passage", "sentence", "annotation")]:
        etree.SubElement(element, "infon", key=LINE).text = str(record.line(element))


def _check_child(parent: str, child: Element, record: Record) -> None:
    if child.tag not in _CHILDREN.get(parent, ()):
        name = f"<{child.tag}>" if isinstance(child.tag, str) else child.text
        raise CorpusFormatError(f"{record.place(child)}: <{parent}> holds {name}, which BioC does not allow")


def _check_shape(element: Element, record: Record) -> None:
    place = f"{record.place(element)}: <{element.tag}>"
    for child in element:
        _check_child(element.tag, child, record)
    for name in ("id", "offset", "text") if element.tag in _CHILDREN else ():
        n_found = len(element.findall(name))
        if n_found > 1 or n_found < (name in _ONCE.get(element.tag, ())):
            raise CorpusFormatError(f"{place} has {n_found} <{name}>, expected one")
    for name in _ATTRIBUTES.get(element.tag, ()):
        if name not in element.attrib:
            raise CorpusFormatError(f"{place} has no {name}")

    numbers = {"offset": [element.text], "location": [element.get("offset"), element.get("length")]}
    for number in numbers.get(element.tag, ()):
        if not _NUMBER.fullmatch((number or "").strip()):
            raise CorpusFormatError(f"{place}: expected a number of characters, found {number!r}")
