"""BioC, as XML and as JSON, through the ``bioc`` library.

``bioc_document`` describes the treatment of passages, annotations and infons, ``bioc_xml`` the checks of
untrusted XML. XML is read and written one document at a time; JSON is read as a whole, since the library
offers no other way. Files are read as UTF-8, even if an XML declaration names another encoding.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import Any, TextIO

from openmed_ner.errors import AnnotationError, CorpusFormatError, UnrepresentableError
from openmed_ner.formats.attributes import write_attributes
from openmed_ner.formats.bioc_document import LINE, from_bioc, to_bioc
from openmed_ner.formats.bioc_xml import decode_record, iter_documents
from openmed_ner.formats.json_values import iter_values
from openmed_ner.formats.structure import KEY
from openmed_ner.formats.tolerance import LONE_SURROGATE, OnBad, fail
from openmed_ner.text import Document

_WRAPPERS = ("documents", "PubTator3")
"""Keys of the list of documents of a collection."""
_PARTS = ("passages", "sentences")
"""Keys of the parts of a document and of a passage."""
_HEAD = 1 << 16
"""Characters at the start of a file that are searched to tell XML from JSON."""
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_XML_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE collection SYSTEM "BioC.dtd">
<collection><source>OpenMed NER</source><date></date><key></key>
"""
_JSON_HEAD = (
    '{"bioctype": "BioCCollection", "source": "OpenMed NER", "date": "", "key": "", "version": "1.0",'
    ' "infons": {}, "documents": [\n'
)


def read_bioc(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the documents of a BioC collection, XML or JSON according to its first character.

    A document of the wrong shape is handed to ``on_bad``.

    Raises:
        CorpusFormatError: as for either.
    """
    # Standard input cannot be rewound, so it is held in memory.
    if not file.seekable():
        file = StringIO(file.read(), newline="\n")
    begin = file.tell()
    head = file.read(_HEAD).lstrip("\ufeff \t\r\n")
    file.seek(begin)
    yield from (read_bioc_xml if head.startswith("<") else read_bioc_json)(file, source=source, on_bad=on_bad)


def read_bioc_xml(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the documents of a BioC collection in XML, one at a time.

    A document that is not well-formed or has the wrong shape is handed to ``on_bad``, and so is a bad
    annotation.

    Raises:
        CorpusFormatError: the file is not well-formed, declares entities, is not BioC, has passages that
            overlap, or an annotation that differs from the text at its locations.
    """
    for record in iter_documents(file, source, on_bad):
        try:
            decoded = decode_record(record)
            document = from_bioc(decoded, lambda part: f"{source}, line {part.infons[LINE]}", on_bad=on_bad)
        except CorpusFormatError as error:
            on_bad(error)
        else:
            yield document


def read_bioc_json(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the documents of a file in JSON: collections, lists of them, or documents, one after the other.

    The answers of PubTator 3 (``{"PubTator3": […]}``) and files of a document per line are read too. A
    document of the wrong shape is handed to ``on_bad``, and so is any other value, and an invalid line among
    others.

    Raises:
        CorpusFormatError: as for XML. Messages name the line of invalid JSON, and otherwise the number of
            the document, since the parser keeps no lines.
    """
    number = 0
    for line, value in iter_values(file, source, on_bad, may_be_empty=False):
        for record in _iter_records(value, f"{source}, line {line}", on_bad):
            number += 1
            try:
                document = _read_record(record, f"{source}, document {number}", on_bad)
            except CorpusFormatError as error:
                on_bad(error)
            else:
                yield document


def write_bioc_xml(documents: Iterable[Document], file: TextIO, *, on_bad: OnBad = fail) -> None:
    """Write a collection in XML, one document at a time; refused documents go to ``on_bad``.

    Raises:
        UnrepresentableError: a string has a character that XML 1.0 does not allow, such as NUL.
    """
    from bioc.biocxml.encoder import encode_document
    from lxml import etree

    file.write(_XML_HEAD)
    for document in _writable(documents, _NOT_XML, "XML", on_bad):
        file.write(
            etree.tostring(encode_document(to_bioc(document, strings=True)), encoding="unicode") + "\n"
        )
    file.write("</collection>\n")


def write_bioc_json(documents: Iterable[Document], file: TextIO, *, on_bad: OnBad = fail) -> None:
    """Write a collection in JSON, one document per line; refused documents go to ``on_bad``.

    Raises:
        UnrepresentableError: a string has half of a surrogate pair.
    """
    from bioc import biocjson

    file.write(_JSON_HEAD)
    for number, document in enumerate(_writable(documents, LONE_SURROGATE, "UTF-8", on_bad)):
        file.write(",\n" * (number > 0) + biocjson.dumps(to_bioc(document), ensure_ascii=False))
    file.write("\n]}\n")


def _iter_records(content: object, place: str, on_bad: OnBad) -> Iterator[object]:
    """Yield the documents of a collection, of a list of collections or documents, or a single document."""
    entries = content if isinstance(content, list) else [content]
    for number, entry in enumerate(entries, start=1):
        if isinstance(entry, dict) and isinstance(entry.get("passages"), list):
            yield entry
            continue
        lists = [entry[key] for key in _WRAPPERS if key in entry] if isinstance(entry, dict) else []
        # A collection of one document may hold it without a list.
        lists = [[inner] if isinstance(inner, dict) and "passages" in inner else inner for inner in lists]
        if len(lists) != 1 or not isinstance(lists[0], list):
            has_text = isinstance(entry, dict) and isinstance(entry.get("text"), str)
            advice = (
                f"; write records one per line ({_by_line(content)}), for --from jsonl"
                if has_text
                else '; write other texts as JSON lines, {"id": "1", "text": "…"}'
            )
            on_bad(
                CorpusFormatError(
                    f"{place}{f', record {number}' if isinstance(content, list) else ''}: expected a JSON "
                    'object with a list under "documents", or a document with "passages"' + advice
                )
            )
            continue
        yield from lists[0]


def _by_line(content: object) -> str:
    """Return the command that writes records one per line."""
    return "jq -c '.[]'" if isinstance(content, list) else "jq -c ."


def _read_record(record: object, place: str, on_bad: OnBad) -> Document:
    from bioc import biocjson

    try:
        _mend(record, place, on_bad)
        decoded = biocjson.fromJSON(record, "BioCDocument")
    except (AttributeError, KeyError, TypeError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise CorpusFormatError(f"{place}: not a BioC document: {problem}") from error
    return from_bioc(decoded, lambda _: place, on_bad=on_bad)


def _mend(record: Any, place: str, on_bad: OnBad, *, level: int = 0) -> None:
    """Add the empty lists and infons that some programs leave out, and take out annotations of a wrong shape.

    Args:
        record: a decoded document; at the levels below, a passage or a sentence. It is changed.
        place: the document, for messages.
        on_bad: called with the error of each annotation and relation that is taken out.
        level: index of its parts in ``_PARTS``.
    """
    from bioc.biocjson.decoder import parse_annotation, parse_relation

    record.setdefault("infons", {})
    for name, parse in (("annotations", parse_annotation), ("relations", parse_relation)):
        record[name] = [part for part in record.get(name) or () if _has_shape(part, parse, place, on_bad)]
    if level < len(_PARTS):
        name = _PARTS[level]
        if level:
            record.setdefault(name, [])
        parts = record.get(name, [])
        if not isinstance(parts, list):
            raise TypeError(f"expected a list as {name}, found {parts!r:.60}")
        for part in parts:
            _mend(part, place, on_bad, level=level + 1)


def _has_shape(part: Any, parse: Callable[[Any], object], place: str, on_bad: OnBad) -> bool:
    try:
        part.setdefault("infons", {})
        parse(part)
    except (AttributeError, KeyError, TypeError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        on_bad(AnnotationError(f"{place}: not an annotation of BioC: {problem}"))
        return False
    return True


def _writable(
    documents: Iterable[Document], foreign: re.Pattern[str], format: str, on_bad: OnBad
) -> Iterator[Document]:
    """Yield the documents without foreign characters."""
    for document in documents:
        strings = [document.id, document.text]
        for span in document.spans:
            strings += [span.label, span.corpus or "", write_attributes(span.attributes)]
        strings += _iter_strings(document.meta.get(KEY))

        if match := next(filter(None, map(foreign.search, strings)), None):
            on_bad(
                UnrepresentableError(
                    f"document {document.id!r}: {format} cannot hold the character {match[0]!r}; "
                    "choose another format, such as jsonl"
                )
            )
        else:
            yield document


def _iter_strings(value: object) -> Iterator[str]:
    """Yield the strings of a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    for inner in (
        [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from _iter_strings(inner)
