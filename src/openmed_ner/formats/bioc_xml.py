"""Untrusted BioC in XML, parsed and checked before the ``bioc`` library sees it.

A first parser reads a collection document by document without entities, DTD or network, checks the shape of
each and notes the lines; the library, whose parsers take no such care, sees only what that one has let
through. The price is that every document is parsed twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from openmed_ner.errors import CorpusFormatError
from openmed_ner.formats.xml import make_parser

if TYPE_CHECKING:
    from bioc import BioCDocument
    from lxml.etree import _Element as Element

LINE = "openmed_ner:line"
"""Infon that carries the line of an element through the library."""
_CHUNK = 1 << 16
_CHILDREN = {
    "collection": {"source", "date", "key", "infon", "document"},
    "document": {"id", "infon", "passage", "annotation"},
    "passage": {"infon", "offset", "text", "sentence", "annotation"},
    "sentence": {"infon", "offset", "text", "annotation"},
    "annotation": {"infon", "location", "text"},
}
"""What an element may hold; any other element holds characters only."""
_ONCE = {"document": ("id",), "passage": ("offset",), "sentence": ("offset",), "annotation": ("text",)}
_ATTRIBUTES = {"infon": ("key",), "location": ("offset", "length")}
_NUMBER = re.compile("[0-9]{1,18}")


def iter_elements(file: TextIO, source: str) -> Iterator[Element]:
    """Yield each ``document`` as soon as it is complete, and forget it afterwards.

    Raises:
        CorpusFormatError: the file is not well-formed, declares entities, or is no collection of documents.
    """
    from lxml import etree

    parser = make_parser(("collection", "document"))
    try:
        chunk = file.read(_CHUNK).removeprefix("\ufeff")
        while chunk:
            parser.feed(chunk.encode(errors="surrogatepass"))
            for event, element in parser.read_events():
                _check_place(element, source)
                if event == "end" and element.tag == "document":
                    yield element
                    _forget(element, source)
            chunk = file.read(_CHUNK)
        root = parser.close()
    except etree.XMLSyntaxError as error:
        raise CorpusFormatError(f"{source}, line {max(error.lineno or 1, 1)}: {error.msg}") from error
    if root.tag != "collection":
        raise CorpusFormatError(
            f"{source}, line {root.sourceline}: expected <collection>, found <{root.tag}>"
        )
    _check_shape(root, source)


def decode_element(element: Element, source: str) -> BioCDocument:
    """Let the library read a document that has the right shape; its parts carry :data:`LINE`.

    Raises:
        CorpusFormatError: it has not.
    """
    from bioc.biocxml.decoder import BioCXMLDecoder
    from lxml import etree

    _prepare(element, source)
    xml = etree.tostring(element, encoding="unicode", with_tail=False)
    (found,) = BioCXMLDecoder().decodes(f"<collection>{xml}</collection>").documents
    return found


def _check_place(element: Element, source: str) -> None:
    """Let pass a collection at the top, without entities, and documents right below it."""
    where = f"{source}, line {element.sourceline}"
    parents = [parent.tag for parent in element.iterancestors()]
    if parents != (["collection"] if element.tag == "document" else []):
        raise CorpusFormatError(
            f"{where}: expected documents right below one <collection>, "
            f"found <{element.tag}> in {' in '.join(f'<{parent}>' for parent in parents) or 'nothing'}"
        )
    dtd = element.getroottree().docinfo.internalDTD
    if dtd is not None and (names := [str(entity.name) for entity in dtd.iterentities()]):
        raise CorpusFormatError(
            f"{where}: the file declares entities ({', '.join(names[:3])}), which BioC does not need and "
            "which can be an attack; write out what they stand for"
        )


def _forget(element: Element, source: str) -> None:
    """Free a document and what stands before it, or the tree would grow with the file."""
    parent = element.getparent()
    _check_shape(parent, source)
    element.clear(keep_tail=True)
    while element.getprevious() is not None:
        del parent[0]


def _prepare(document: Element, source: str) -> None:
    """Check what the library would fail on, or read in part only; note the lines; drop relations."""
    from lxml import etree

    etree.strip_elements(document, "relation", with_tail=False)
    for element in document.iter():
        _check_shape(element, source)
    for element in document.findall(".//annotation"):
        element.set("id", element.get("id", ""))
    for element in [*document.iter("document", "passage", "sentence", "annotation")]:
        etree.SubElement(element, "infon", key=LINE).text = str(element.sourceline)


def _check_shape(element: Element, source: str) -> None:
    where = f"{source}, line {element.sourceline}: <{element.tag}>"
    for child in element:
        if child.tag not in _CHILDREN.get(element.tag, ()):
            found = f"<{child.tag}>" if isinstance(child.tag, str) else child.text
            raise CorpusFormatError(
                f"{source}, line {child.sourceline}: <{element.tag}> holds {found}, which BioC does not allow"
            )
    for name in ("id", "offset", "text") if element.tag in _CHILDREN else ():
        n_found = len(element.findall(name))
        if n_found > 1 or n_found < (name in _ONCE.get(element.tag, ())):
            raise CorpusFormatError(f"{where} has {n_found} <{name}>, expected one")
    for name in _ATTRIBUTES.get(element.tag, ()):
        if name not in element.attrib:
            raise CorpusFormatError(f"{where} has no {name}")
    numbers = {"offset": [element.text], "location": [element.get("offset"), element.get("length")]}
    for number in numbers.get(element.tag, ()):
        if not _NUMBER.fullmatch((number or "").strip()):
            raise CorpusFormatError(f"{where}: expected a number of characters, found {number!r}")
