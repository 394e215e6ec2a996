"""BioC, as XML and as JSON, through the ``bioc`` library.

Offsets run over the whole document: each passage, or each of its sentences, is placed at its offset,
and gaps are filled with blanks. ``infons["type"]`` is the label; ``score`` and ``corpus`` are infons too,
and ``attributes`` is one infon that holds a JSON object, for infons of other names may mean anything.
Relations, further infons and annotations without location, which speak of a document and not of its
characters, are passed over; ``meta`` is not written. A document is written as one passage.

XML is untrusted: a first parser reads it document by document without entities, DTD or network, checks
the shape of each and notes the lines; the library, whose parsers take no such care, sees only what that
one has let through. The price is that every document is parsed twice. JSON is read as a whole.
Files are UTF-8, whatever an XML declaration says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import StringIO
from typing import TYPE_CHECKING, Any, TextIO

from openmed_ner.errors import CorpusFormatError, UnrepresentableError
from openmed_ner.formats.attributes import read_attributes, write_attributes
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.formats.xml import make_parser
from openmed_ner.text import Document, Span

if TYPE_CHECKING:
    from bioc import BioCAnnotation, BioCDocument, BioCLocation, BioCPassage, BioCSentence
    from lxml.etree import _Element as Element

_CHUNK = 1 << 16
_MAX_GAPS = 1_000_000
"""Blanks that a document may need between its passages; a wrong offset must not fill the memory."""
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
_LINE = "openmed_ner:line"
"""Infon that carries the line of an element through the library."""
_NUMBER = re.compile("[0-9]{1,18}")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")
_XML_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source>OpenMed NER</source><date></date><key></key>
"""
_JSON_HEAD = (
    '{"bioctype": "BioCCollection", "source": "OpenMed NER", "date": "", "key": "", "version": "1.0",'
    ' "infons": {}, "documents": [\n'
)


def read_bioc(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the documents of a BioC collection, XML or JSON as its first character tells.

    A document of the wrong shape is handed to ``on_bad``.

    Raises:
        CorpusFormatError: as for either.
    """
    if not file.seekable():
        file = StringIO(file.read(), newline="\n")
    begin = file.tell()
    head = file.read(_CHUNK).lstrip("\ufeff \t\r\n")
    file.seek(begin)
    yield from (read_bioc_xml if head.startswith("<") else read_bioc_json)(file, source=source, on_bad=on_bad)


def read_bioc_xml(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the documents of a BioC collection in XML, one at a time.

    A document of the wrong shape is handed to ``on_bad``; XML that is not well-formed ends the reading.

    Raises:
        CorpusFormatError: the file is not well-formed, declares entities, is no BioC, has passages that
            overlap, or an annotation whose text is not what stands at its locations.
    """
    for element in _iter_elements(file, source):
        try:
            document = _read_element(element, source)
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def read_bioc_json(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the documents of a BioC collection in JSON, or of a list of collections.

    A document of the wrong shape is handed to ``on_bad``; what is not JSON ends the reading.

    Raises:
        CorpusFormatError: as for XML. Messages name the line of what is not JSON, and otherwise the
            number of the document: JSON keeps no lines.
    """
    text = file.read()
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise CorpusFormatError(f"{source}, line {error.lineno}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise CorpusFormatError(f"{source}: {error}") from error
    for number, record in enumerate(_iter_records(content, source), start=1):
        try:
            document = _read_record(record, f"{source}, document {number}")
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def write_bioc_xml(documents: Iterable[Document], file: TextIO, *, on_bad: OnBad = fail) -> None:
    """Write a collection in XML, one document at a time; ``on_bad`` is told of those refused.

    Raises:
        UnrepresentableError: a string has a character that XML 1.0 does not know, such as NUL.
    """
    from bioc.biocxml.encoder import encode_document
    from lxml import etree

    file.write(_XML_HEAD)
    for document in _writable(documents, _NOT_XML, "XML", on_bad):
        file.write(etree.tostring(encode_document(_to_bioc(document)), encoding="unicode") + "\n")
    file.write("</collection>\n")


def write_bioc_json(documents: Iterable[Document], file: TextIO, *, on_bad: OnBad = fail) -> None:
    """Write a collection in JSON, one document to a line; ``on_bad`` is told of those refused.

    Raises:
        UnrepresentableError: a string has half of a surrogate pair.
    """
    from bioc import biocjson

    file.write(_JSON_HEAD)
    for number, document in enumerate(_writable(documents, _NOT_UTF8, "UTF-8", on_bad)):
        file.write(",\n" * (number > 0) + biocjson.dumps(_to_bioc(document), ensure_ascii=False))
    file.write("\n]}\n")


# --- XML


def _iter_elements(file: TextIO, source: str) -> Iterator[Element]:
    """Yield each ``document`` as soon as it is complete, and forget it afterwards."""
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


def _read_element(element: Element, source: str) -> Document:
    from bioc.biocxml.decoder import BioCXMLDecoder
    from lxml import etree

    _prepare(element, source)
    xml = etree.tostring(element, encoding="unicode", with_tail=False)
    (found,) = BioCXMLDecoder().decodes(f"<collection>{xml}</collection>").documents
    return _from_bioc(found, lambda part: f"{source}, line {part.infons[_LINE]}")


def _prepare(document: Element, source: str) -> None:
    """Check what the library would fail on, or read in part only; note the lines; drop relations."""
    from lxml import etree

    etree.strip_elements(document, "relation", with_tail=False)
    for element in document.iter():
        _check_shape(element, source)
    for element in document.findall(".//annotation"):
        element.set("id", element.get("id", ""))
    for element in [*document.iter("document", "passage", "sentence", "annotation")]:
        etree.SubElement(element, "infon", key=_LINE).text = str(element.sourceline)


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
    numbers = [element.text] if element.tag == "offset" else []
    numbers += [element.get(name) for name in _ATTRIBUTES["location"]] if element.tag == "location" else []
    for number in numbers:
        if not _NUMBER.fullmatch((number or "").strip()):
            raise CorpusFormatError(f"{where}: expected a number of characters, found {number!r}")


# --- JSON


def _iter_records(content: object, source: str) -> Iterator[object]:
    for collection in content if isinstance(content, list) else [content]:
        records = collection.get("documents") if isinstance(collection, dict) else None
        if not isinstance(records, list):
            raise CorpusFormatError(f'{source}: expected a JSON object with a list under "documents"')
        yield from records


def _read_record(record: object, where: str) -> Document:
    from bioc import biocjson

    try:
        found = biocjson.fromJSON(record, "BioCDocument")
    except (AttributeError, KeyError, TypeError) as error:
        problem = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        raise CorpusFormatError(f"{where}: not a BioC document: {problem}") from error
    return _from_bioc(found, lambda _: where)


# --- Documents


def _from_bioc(found: BioCDocument, where: Callable[[Any], str]) -> Document:
    """Build a document; ``where`` tells file and line of a part."""
    name = f"document {found.id!r}"
    with _naming(f"{where(found)}: {name}"):
        document = Document(_require_text(found.id, "id"), _join_parts(found))
    spans = []
    for annotation in _iter_annotations(found):
        with _naming(f"{where(annotation)}: {name}, annotation {annotation.id!r}"):
            if annotation.locations:
                spans.append(_to_span(annotation, document))
    return document.with_spans(spans)


@contextmanager
def _naming(place: str) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        raise CorpusFormatError(f"{place}: {error}") from error


def _iter_annotations(found: BioCDocument) -> Iterator[BioCAnnotation]:
    for passage in found.passages:
        for sentence in passage.sentences:
            yield from sentence.annotations
        yield from passage.annotations
    yield from found.annotations


def _iter_parts(found: BioCDocument) -> Iterator[BioCPassage | BioCSentence]:
    """Whatever holds text: passages, or their sentences."""
    for passage in found.passages:
        sentences = [sentence for sentence in passage.sentences if sentence.text]
        if passage.text and sentences:
            raise ValueError(f"the passage at {passage.offset} has text and sentences, expected either")
        yield from [passage] if passage.text else sentences


def _join_parts(found: BioCDocument) -> str:
    pieces: list[str] = []
    end = n_blanks = 0
    for part in _iter_parts(found):
        offset, text = _require_number(part.offset, "offset"), _require_text(part.text, "text")
        if offset < end:
            raise ValueError(
                f"text at {offset} ({text[:20]!r}) overlaps what stands before, which ends at {end}"
            )
        n_blanks += offset - end
        if n_blanks > _MAX_GAPS:
            raise ValueError(
                f"text at {offset} needs {n_blanks} blanks before it; at most {_MAX_GAPS} are filled"
            )
        pieces += [" " * (offset - end), text]
        end = offset + len(text)
    return "".join(pieces)


def _to_span(annotation: BioCAnnotation, document: Document) -> Span:
    infons = annotation.infons
    if not isinstance(infons, dict) or not infons.get("type"):
        raise ValueError('there is no infon "type", which is the label')
    label = _require_text(infons["type"], "type")
    score = _require_score(infons["score"]) if "score" in infons else None
    corpus = _require_text(infons["corpus"] or "", "corpus") if "corpus" in infons else None
    fragments = _to_fragments(annotation.locations)
    inner = fragments if len(fragments) > 1 else ()
    raw = infons.get("attributes")
    attributes = read_attributes("" if raw is None else _require_text(raw, "attributes"))
    span = Span(fragments[0][0], fragments[-1][1], label, score, corpus, inner, attributes)
    mention = document.with_spans([span]).mention(span)
    if mention != annotation.text:
        places = ", ".join(f"{start}..{end}" for start, end in fragments)
        raise ValueError(
            f"characters {places} are {mention!r}, but the annotation says {annotation.text!r}; correct one"
        )
    return span


def _to_fragments(locations: Iterable[BioCLocation]) -> tuple[tuple[int, int], ...]:
    """Locations as ranges, in order, those that touch made one."""
    fragments: list[tuple[int, int]] = []
    for start, length in sorted(
        (_require_number(location.offset, "offset"), _require_number(location.length, "length"))
        for location in locations
    ):
        first = fragments.pop()[0] if fragments and fragments[-1][1] == start else start
        fragments.append((first, start + length))
    return tuple(fragments)


def _to_bioc(document: Document) -> BioCDocument:
    from bioc import BioCDocument, BioCPassage

    made = BioCDocument()
    made.id = document.id
    passage = BioCPassage.of_text(document.text, 0)
    for number, span in enumerate(document.spans, start=1):
        passage.add_annotation(_to_annotation(document, span, f"T{number}"))
    made.add_passage(passage)
    return made


def _to_annotation(document: Document, span: Span, id: str) -> BioCAnnotation:
    from bioc import BioCAnnotation, BioCLocation

    made = BioCAnnotation()
    made.id, made.text = id, document.mention(span)
    made.infons = {
        "type": span.label,
        **({} if span.score is None else {"score": repr(float(span.score))}),
        **({} if span.corpus is None else {"corpus": span.corpus}),
        **({"attributes": write_attributes(span.attributes)} if span.attributes else {}),
    }
    for start, end in span.fragments or ((span.start, span.end),):
        made.add_location(BioCLocation(start, end - start))
    return made


def _require_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string as {name}, found {value!r:.60}")
    if _NOT_UTF8.search(value):
        raise ValueError(f"the {name} holds half of a surrogate pair, which is not a character")
    return value


def _require_number(value: object, name: str) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"expected a number of characters as {name}, found {value!r:.60}")
    return value


def _require_score(value: object) -> float:
    try:
        return float("" if isinstance(value, bool) else value)  # type: ignore[arg-type]
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"expected a number as score, found {value!r:.60}") from error


def _writable(
    documents: Iterable[Document], foreign: re.Pattern[str], format: str, on_bad: OnBad
) -> Iterator[Document]:
    """Pass on the documents that have no character that the format does not know."""
    for document in documents:
        strings = [document.id, document.text]
        for span in document.spans:
            strings += [span.label, span.corpus or "", write_attributes(span.attributes)]
        if found := next(filter(None, map(foreign.search, strings)), None):
            on_bad(
                UnrepresentableError(
                    f"document {document.id!r}: {format} has no place for the character {found[0]!r}; "
                    "write another format, such as jsonl"
                )
            )
        else:
            yield document
